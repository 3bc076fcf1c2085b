"""On which terms a route is asked, and how it says no: what single questions, batches and feedback share."""

from __future__ import annotations

from pydantic import ValidationError

from tiphys.serving.gateway.admission import Admission
from tiphys.serving.gateway.keys import Keys, Role
from tiphys.serving.gateway.messages import JSON, Request, Response, again, refusal
from tiphys.serving.gateway.routing import Found, Why
from tiphys.serving.gateway.switchboard import only
from tiphys.usecase import Prediction

QUESTION_CAP = 16 * 1024
"""Bytes of one question."""
BATCH_CAP = 1 << 20
"""Bytes of a batch."""
MOST_QUESTIONS = 1000
"""Questions in a batch."""
QUESTIONS_IN_FLIGHT = 256
"""Single questions of a route that may be in flight at once."""
LEAST_IN_FLIGHT = 20
"""Fewest that may be, however slow the answers are, where the SLO promises no more."""
BATCHES_IN_FLIGHT = 4
"""Batches of a route that may be."""
BATCH_SECONDS = 10.0
"""Longest that a batch may take: nobody looks at a screen for it."""

STATUS: dict[Why, tuple[int, bytes]] = {
    "late": (504, again(1)), "unavailable": (503, again(1)), "bad_answer": (503, again(1)), "not_served": (503, again(5)),
    "invalid": (422, b""),
}  # fmt: skip


class Terms:
    """On which terms a route is asked: by whom, how fast the answer must come, how many at once."""

    def __init__(self, keys: Keys, roles: frozenset[Role], deadline: float, admission: Admission) -> None:
        """Keep them; ``deadline`` is in seconds."""
        self.keys = keys
        self.roles = roles
        self.deadline = deadline
        self.admission = admission

    def refuse(self, request: Request) -> Response | None:
        """A refusal by what the head says, the cheapest reason first; None if the body may come."""
        return (
            only(request, "POST")
            or self.keys.admit(request, self.roles)
            or _media_type(request)
            or _timeout_header(request)
            or self.admission.full()
        )

    def until(self, request: Request) -> float:
        """When the answer is due, by the event loop's clock; the asker may want it sooner than we promise."""
        wanted = request.headers.get(b"x-timeout-ms")
        seconds = self.deadline if wanted is None else min(self.deadline, int(wanted) / 1000.0)
        return request.arrived + seconds


def _media_type(request: Request) -> Response | None:
    kind = request.headers.get(b"content-type", b"")
    if kind == JSON or kind.partition(b";")[0].strip().lower() == JSON:
        return None
    return refusal(415, "unsupported_media_type", "send the question as Content-Type: application/json")


def _timeout_header(request: Request) -> Response | None:
    wanted = request.headers.get(b"x-timeout-ms")
    if wanted is None or (wanted.isdigit() and len(wanted) <= 7 and int(wanted) > 0):  # noqa: PLR2004 - below 3 hours
        return None
    return refusal(400, "timeout_header", "X-Timeout-Ms is a whole number of milliseconds, at least 1")


def sticky(request: Request) -> bytes:
    """Who is to meet the same arm every time: the rider that the asker names, else the asker itself."""
    rider = request.headers.get(b"x-rider-id")
    if rider:
        return rider[:200]
    return f"{request.key.name if request.key else ''}@{request.peer}".encode()


def invalid(error: ValidationError) -> Response:
    """What is said of a body that is no question: 400 for no JSON, 422 and the fields' names for another."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return refusal(400, "no_json", f"the body is no JSON: {found[0]['msg']}")
    listed = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'question'}: {each['msg']}" for each in found[:10])
    return refusal(422, "invalid", listed[:2000])


def prediction_of(found: Found, identity: str) -> Prediction:
    """Return what the use case is to put into words."""
    value, low, high = found.reading
    source = "status_quo" if found.arm == "status_quo" else "model"
    return Prediction(value, low, high, found.version, identity, source)  # type: ignore[arg-type]
