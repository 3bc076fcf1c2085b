"""What monitor keeps in S3 between its runs, by use case and model version: the reference and the state of running tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tiphys.errors import DataError
from tiphys.lake.s3 import NotThereError
from tiphys.watch.drift.ledger import Ledger
from tiphys.watch.drift.reference import Reference
from tiphys.watch.drift.watch import State

if TYPE_CHECKING:
    from tiphys.lake.s3 import S3

BUCKET = "monitor"


class Kept:
    """The objects of one use case and version: ``s3://monitor/USE_CASE/VERSION/...``; the count of rows is of all versions."""

    def __init__(self, store: S3, use_case: str, version: str) -> None:
        """Name them; nothing is read yet."""
        self._store = store
        self._root = f"s3://{BUCKET}/{use_case.rpartition('.')[2]}"
        self._own = f"{self._root}/{version}"

    def reference(self, dataset: str, manifest_sha256: str) -> Reference | None:
        """The reference that was made of that dataset and model, or None.

        Raises:
            DataError: its content has another digest than its name says.
        """
        state = self._json(f"{self._own}/state.json")
        wanted = {"dataset": dataset, "manifest": manifest_sha256}
        if state is None or {name: state.get(name) for name in wanted} != wanted:
            return None
        where = f"{self._own}/reference-{state['reference']}.json"
        try:
            found = Reference.load(self._store.get(where))
        except (NotThereError, ValueError):
            return None
        if found.address != state["reference"]:
            message = f"{where} is damaged: its digest is {found.address}; delete it, and monitor makes it again"
            raise DataError(message)
        return found

    def keep_reference(self, reference: Reference) -> None:
        """Store a reference under its digest."""
        self._store.put(f"{self._own}/reference-{reference.address}.json", reference.dump())

    def state(self, reference: Reference) -> State:
        """The state that the last run left, of this very reference; a new one otherwise."""
        new = State.new(reference)
        held, counted = self._json(f"{self._own}/state.json"), self._json(f"{self._root}/volume.json")
        errors = new.errors
        if held is not None and held["reference"] == reference.address:
            errors = Ledger.from_dict(held["errors"])
        return State(errors, new.volume if counted is None else Ledger.from_dict(counted))

    def keep_state(self, reference: Reference, state: State) -> None:
        """Store the state for the next run. Two runs at once would each store what both saw: the last one wins."""
        about = {name: reference.about[name] for name in ("dataset", "manifest")}
        held = {**about, "reference": reference.address, "errors": state.errors.as_dict()}
        self._store.put(f"{self._root}/volume.json", _bytes(state.volume.as_dict()))
        self._store.put(f"{self._own}/state.json", _bytes(held))

    def _json(self, uri: str) -> Any:
        try:
            return json.loads(self._store.get(uri))
        except NotThereError:
            return None


def _bytes(held: Any) -> bytes:
    return json.dumps(held, separators=(",", ":")).encode()
