"""Checkpoints in S3: one object an epoch, and beside it a small JSON object with its digest, written last.

An epoch counts once its JSON is there and the bytes have the digest it says; one cut short is passed over for the one
before. Knows nothing of torch: a checkpoint is bytes.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from tiphys.lake.s3 import S3

log = logging.getLogger(__name__)


class Epoch(BaseModel):
    """One finished epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    """Number, from 0."""
    sha256: str
    validation_mae: float
    train_mae: float | None
    """None where the learner does not log it."""
    seconds: float


class Checkpoints:
    """All checkpoints of one training."""

    def __init__(self, store: S3, prefix: str) -> None:
        """Keep them under ``prefix``, which ends in a slash."""
        self._store = store
        self._prefix = prefix + "epochs/"

    def save(self, epoch: Epoch, content: bytes) -> None:
        """Write an epoch: its bytes first, what makes it count last."""
        self._store.put(self._at(epoch.epoch, "ckpt"), content)
        self._store.put(self._at(epoch.epoch, "json"), epoch.model_dump_json().encode())

    def epochs(self, known: Collection[int] = ()) -> list[Epoch]:
        """Every epoch that was written to its end, in order, but for those ``known``; damaged notes are taken away."""
        passed = {self._at(number, "json") for number in known}
        found = []
        for each in self._store.list(self._prefix):
            if not each.uri.endswith(".json") or each.uri in passed:
                continue
            try:
                found.append(Epoch.model_validate_json(self._store.get(each.uri)))
            except ValidationError:
                log.warning("checkpoint note %s is damaged: taken away", each.uri)
                self._store.delete(each.uri)
        return sorted(found, key=lambda each: each.epoch)

    def read(self, epoch: Epoch) -> bytes | None:
        """Read an epoch's bytes; None, said in the log, if they are not what was written."""
        uri = self._at(epoch.epoch, "ckpt")
        content = self._store.get(uri) if self._store.find(uri) else b""
        if hashlib.sha256(content).hexdigest() == epoch.sha256:
            return content
        log.warning("checkpoint of epoch %d is cut short or damaged: falling back to the one before", epoch.epoch)
        return None

    def last(self) -> tuple[Epoch, bytes] | None:
        """The newest epoch whose bytes are whole; None where training has to begin."""
        for epoch in reversed(self.epochs()):
            content = self.read(epoch)
            if content is not None:
                return epoch, content
            self._forget(epoch)
        return None

    def _forget(self, epoch: Epoch) -> None:
        self._store.delete(self._at(epoch.epoch, "json"))
        self._store.delete(self._at(epoch.epoch, "ckpt"))

    def _at(self, epoch: int, kind: str) -> str:
        return f"{self._prefix}{epoch:04d}.{kind}"
