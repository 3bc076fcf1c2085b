"""What one check of the audit came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["good", "bad", "not checked"]


@dataclass(frozen=True)
class Finding:
    """One check: of what, the verdict, and what was found or why it could not be checked."""

    subject: str
    verdict: Verdict
    text: str


def verdict(subject: str, faults: list[str], good: str) -> list[Finding]:
    """A finding for each fault, or one that says what is good."""
    return [Finding(subject, "bad", each) for each in faults] or [Finding(subject, "good", good)]
