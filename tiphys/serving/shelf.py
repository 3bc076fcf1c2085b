"""Which versions of a model stand ready in Triton: one, or in production the one before beside it.

Digests are checked before every load. A load that fails leaves what stood there. It knows no ledger.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from tiphys.errors import DataError, PermanentError, RetryableError
from tiphys.release.records import Release
from tiphys.serving.copies import Copies, Source, name_of
from tiphys.serving.ensemble import TRITON_TYPES
from tiphys.serving.manifest import REFERENCE, Manifest
from tiphys.serving.page import signature
from tiphys.serving.triton import BrokenModelError, TritonAwayError, TritonControl

_LOADING_SECONDS = 30.0
"""Longest that one load waits for another to end."""
_ANSWER_SECONDS = 5.0
"""A process that died is noticed by Triton within a second, for each batch that waits before ours."""

log = logging.getLogger(__name__)


class Shelf:
    """The versions of one Triton."""

    def __init__(self, copies: Copies, triton: TritonControl, source: Source, *, keeps_previous: bool) -> None:
        """Load from ``copies``, which are filled from ``source``, into ``triton``."""
        self.copies = copies
        self._triton = triton
        self._source = source
        self.keeps_previous = keeps_previous
        self._loading = threading.RLock()
        self.loads = 0

    def live(self) -> bool:
        """Say whether Triton answers at all."""
        return self._triton.live()

    def obtain(self, release: Release) -> Manifest:
        """Fetch and check a copy. Raises as :meth:`Copies.obtain`."""
        return self.copies.obtain(release, self._source)

    def is_ready(self, release: Release) -> bool:
        """Say whether Triton answers with that very release now."""
        return (
            name_of(release) in self.copies.shown(release.model).values()
            and self.copies.has_loaded(release.model)
            and self._triton.ready(release.model, release.number)
        )

    def loaded(self, release: Release) -> list[str]:
        """List the versions of a model that Triton answers with now, the released one first."""
        versions = sorted(self.copies.shown(release.model), key=lambda each: (each != release.number, -int(each)))
        return [each for each in versions if self._triton.ready(release.model, each)]

    @contextmanager
    def still(self) -> Iterator[None]:
        """Let nobody else load anything meanwhile: what is found ready stays so.

        Raises:
            RetryableError: another load takes too long.
        """
        if not self._loading.acquire(timeout=_LOADING_SECONDS):
            message = f"Triton has been loading something else for {_LOADING_SECONDS:.0f} s"
            raise RetryableError(message)
        try:
            yield
        finally:
            self._loading.release()

    def put(self, release: Release, beside: Sequence[Release] = ()) -> None:
        """Make a release ready, and leave or make ready beside it the first of others that can be; its copy is here.

        Raises:
            DataError: a file of it is not what its digest says.
            PermanentError: Triton refuses it.
            RetryableError: Triton does not answer, or another load takes too long.
        """
        with self.still():
            wanted = [release, *self._companion(release, beside)]
            if all(self.is_ready(each) for each in wanted):
                return
            self._check(release)
            self._show(wanted)

    def renew(self, release: Release, beside: Sequence[Release], broken: Collection[str]) -> None:
        """Load the versions that are ``broken`` anew. Triton takes a load of what it has loaded for done, so they go away first.

        While only one beside is broken, the release goes on answering; while the release is, nothing of the model answers.

        Raises:
            As :meth:`put`, which loads only what is not ready.
        """
        with self.still():
            self._check(release)
            if release.number in broken:
                for folder in reversed(self.copies.manifest(release).folders):
                    self._triton.unload(folder)
            else:
                self._show([release])
            self._show([release, *self._companion(release, beside)])

    def broken(self, release: Release, version: str) -> str | None:
        """Ask one of a release's own reference questions of a version that stands ready: the release, or one that fits it.

        Returns what Triton says of a model that fails, an empty text if it answers, and None where neither is known: what
        is away, late or just being loaded may be well.
        """
        try:
            self._triton.ask(release.model, self._question(release), version, timeout=_ANSWER_SECONDS)
        except BrokenModelError as error:
            return str(error)
        except (PermanentError, RetryableError, OSError, ValueError, LookupError):
            return None
        return ""

    def _question(self, release: Release) -> dict[str, tuple[str, float]]:
        """Return the first question in numbers that JSON can say: Triton answers 500 to one that it can't read, too."""
        known = json.loads(self.copies.file(release, REFERENCE).read_bytes())
        inputs, _ = signature(self.copies.manifest(release), self.copies.config(release))
        rows = zip(*(known[name] for name in inputs), strict=True)
        sayable = [each for each in rows if all(map(math.isfinite, each))]
        return {
            name: (TRITON_TYPES[dtype], int(value) if dtype == "int64" else value)
            for (name, dtype), value in zip(inputs.items(), sayable[0], strict=True)
        }

    def _show(self, wanted: Sequence[Release]) -> None:
        model = wanted[0].model
        before = self.copies.show(wanted)
        try:
            self._load(wanted)
        except (PermanentError, RetryableError, OSError):
            self.copies.show_again(model, before)
            raise

    def _companion(self, release: Release, others: Sequence[Release]) -> list[Release]:
        """Choose what stands beside a release: of whole copies with the same configuration, the first."""
        if not self.keeps_previous:
            return []
        return [each for each in others if self.copies.fit(release, each) and self._whole(each)][:1]

    def _whole(self, release: Release) -> bool:
        try:
            self._check(release)
        except DataError as error:
            log.warning("%s does not stand beside: %s", release.model_version, error)
            return False
        return True

    def _check(self, release: Release) -> None:
        try:
            self.copies.check(release)
        except OSError as error:
            message = f"there is no whole copy of {release.model_version} here: {error}"
            raise DataError(message) from error

    def _load(self, wanted: Sequence[Release]) -> None:
        model = wanted[0].model
        self.loads += 1
        started = time.monotonic()
        for folder in self.copies.manifest(wanted[0]).folders:
            self._triton.load(folder)
        for each in wanted:
            if not self._triton.ready(model, each.number):
                message = f"Triton loaded {model!r} but version {each.number} does not answer"
                raise TritonAwayError(message)
        self.copies.note_loaded(model)
        versions = ", ".join(each.number for each in wanted)
        log.info("%s version %s loaded in %.1f s", model, versions, time.monotonic() - started)
