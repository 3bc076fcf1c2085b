"""The one release that may go further: what staging serves, if it still is what was tested there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tiphys.errors import GateError
from tiphys.release import promotion

if TYPE_CHECKING:
    from tiphys.release.client import LedgerClient
    from tiphys.release.records import Recorded


def tested(ledger: LedgerClient, use_case: str, generation: int) -> Recorded:
    """Return staging's release of that generation; 0 is whatever staging serves now.

    Raises:
        GateError: staging has moved on since, or does not serve it.
        RetryableError: the ledger is away.
    """
    found = promotion.candidate(ledger, use_case)
    if generation not in (0, found.generation):
        message = (
            f"staging is to serve generation {found.generation} ({found.model_version}) of {use_case}, not generation "
            f"{generation}, which was tested: run the pipeline again"
        )
        raise GateError(message)
    return found
