"""Where the engine does not do what Argo does, on purpose: by recorded case, each with its reason and what we do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Why a case differs, and the phase in which it ends here: any other would be a defect."""

    reason: str
    phase: str


DELIBERATE: dict[str, Difference] = {
    "failed-steps-outputs": Difference(
        "a task that waits for an output which will never come hangs on Argo; here it is an Error that says why",
        "Failed",
    ),
    "unclosed-braces-at-run-time": Difference(
        "the message quotes the text with the open tag, not the whole template as Go prints it", "Failed"
    ),
}
