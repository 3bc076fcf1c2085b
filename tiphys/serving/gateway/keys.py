"""Who asks: API keys by their digest, what each may do, how fast, and how much a day. It knows no route."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from tiphys.errors import SettingsError
from tiphys.serving.gateway.messages import Request, Response, again, refusal

Role = Literal["rider", "auditor", "tester", "admin"]
"""``rider`` asks as a user does, ``auditor`` too, and what it feeds back is trusted; ``tester`` asks any environment, ``admin`` may do all."""
RATE = 20_000.0
"""Questions a second of a key that says nothing else: more than one process answers, so admission is what bounds it."""
_DAY = 86_400

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_MEANT = (
    'a JSON object {sha256 of the key, in hex: {"name": ..., "role": "rider", "rate": ..., "burst": ..., "daily": ...}}'
)


class Grant(BaseModel):
    """What is known of one key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
    role: Role = "rider"
    rate: Annotated[float, Field(gt=0)] = RATE
    """Questions a second, in the long run."""
    burst: Annotated[float, Field(ge=1)] | None = None
    """Questions that may come at once; two seconds' worth when not given."""
    daily: Annotated[int, Field(ge=0)] | None = None
    """Questions from midnight to midnight UTC; as many as one likes when not given."""


class Key:
    """One key: its grant, and what is left of it."""

    __slots__ = ("_at", "_burst", "_day", "_soon", "_tokens", "daily", "digest", "name", "rate", "role", "used")

    def __init__(self, digest: str, grant: Grant) -> None:
        """Begin with a full bucket."""
        self.digest = digest
        self.name = grant.name
        self.role: Role = grant.role
        self.rate = grant.rate
        self.daily = grant.daily
        self.used = 0
        """Questions of this day."""
        self._burst = max(1.0, 2 * grant.rate) if grant.burst is None else grant.burst
        self._tokens = self._burst
        self._at: float | None = None
        self._day = 0
        self._soon = self._too_fast(1.0)
        """Nearly all that a flood is told, made once."""

    def take(self, questions: int, now: float, wall: float) -> Response | None:
        """Take so many questions; a refusal if there are none left, else None.

        A token bucket that may go into debt: who has any token left may ask a batch, and then waits until it is paid.

        Args:
            questions: how many.
            now: seconds of a clock that never goes back.
            wall: seconds since 1970, for the day.
        """
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1.0:
            wait = (1.0 - self._tokens) / self.rate
            return self._soon if wait <= 1.0 else self._too_fast(wait)
        if self.daily is not None and not self._within_the_day(questions, wall):
            text = f"key {self.name!r} may ask {self.daily} questions a day (UTC), and has asked {self.used}"
            return refusal(429, "quota", text, again(_DAY - wall % _DAY))
        self._tokens -= questions
        self.used += questions
        return None

    def _within_the_day(self, questions: int, wall: float) -> bool:
        day = int(wall // _DAY)
        if day != self._day:
            self._day, self.used = day, 0
        return self.used + questions <= (self.daily or 0)

    def _too_fast(self, wait: float) -> Response:
        text = f"key {self.name!r} may ask {self.rate:g} questions a second"
        return refusal(429, "too_fast", text, again(wait))

    def remember(self, day: int, used: int) -> None:
        """Go on from what a former process had counted."""
        self._day, self.used = day, used

    @property
    def day(self) -> int:
        """The day that ``used`` counts, in days since 1970."""
        return self._day


_UNKNOWN = b"www-authenticate: Bearer\r\n"


class Keys:
    """All keys."""

    def __init__(self, grants: Mapping[str, Grant]) -> None:
        """Know these: sha256 in hex -> grant."""
        self._keys = {bytes.fromhex(digest): Key(digest, grant) for digest, grant in grants.items()}

    @classmethod
    def read(cls, text: str) -> Keys:
        """Read what ``TIPHYS_GATEWAY_KEYS`` says.

        Raises:
            SettingsError: it is not what is meant; no value of it is shown.
        """
        try:
            given = json.loads(text)
            return cls(TypeAdapter(dict[Digest, Grant]).validate_python(given))
        except ValidationError as error:
            first = error.errors()[0]
            message = f"TIPHYS_GATEWAY_KEYS must be {_MEANT}; {_place(given, first['loc'])}: {first['msg']}"
        except ValueError:
            message = f"TIPHYS_GATEWAY_KEYS must be {_MEANT}"
        raise SettingsError(message) from None

    def used(self) -> dict[str, tuple[int, int]]:
        """What has been asked of each key that has a daily quota: digest -> (day, questions)."""
        return {key.digest: (key.day, key.used) for key in self._keys.values() if key.daily is not None}

    def go_on(self, used: Mapping[str, tuple[int, int]]) -> None:
        """Go on from what a former process had counted."""
        for key in self._keys.values():
            if key.digest in used:
                key.remember(*used[key.digest])

    def who(self, headers: Mapping[bytes, bytes]) -> Key | None:
        """Whose key a request carries, as ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``; None if nobody's.

        Keys are looked up by their digest, which whoever sends one cannot steer, and compared in constant time.
        """
        given = headers.get(b"authorization")
        if given is not None:
            scheme, _, given = given.partition(b" ")
            if scheme.lower() != b"bearer":
                return None
        else:
            given = headers.get(b"x-api-key")
        if not given:
            return None
        digest = hashlib.sha256(given.strip()).digest()
        key = self._keys.get(digest)
        if key is None or not hmac.compare_digest(digest, bytes.fromhex(key.digest)):
            return None
        return key

    def admit(self, request: Request, roles: frozenset[Role]) -> Response | None:
        """Find out who asks and keep it in the request; a refusal if nobody known does, or one who may not."""
        key = request.key = self.who(request.headers)
        if key is None:
            text = "send your API key: Authorization: Bearer KEY, or X-API-Key: KEY"
            if b"authorization" in request.headers or b"x-api-key" in request.headers:
                text = "this API key is not known; " + text
            return refusal(401, "no_key", text, _UNKNOWN)
        if key.role not in roles:
            text = f"key {key.name!r} has the role {key.role}; {request.path[:100]} needs {' or '.join(sorted(roles))}"
            return refusal(403, "forbidden", text)
        return None


def _place(given: Any, where: tuple[int | str, ...]) -> str:
    """Say which entry is wrong by its number: what stands there may be a key itself, where its digest belongs."""
    if not where:
        return "as a whole"
    number = list(given).index(where[0]) + 1
    fields = [str(each) for each in where[1:] if each in Grant.model_fields]
    return ", ".join([f"entry {number}", *fields])


def take(request: Request, questions: int, now: float) -> Response | None:
    """Charge the request's key for so many questions; a refusal if it has none left."""
    return None if request.key is None else request.key.take(questions, now, time.time())


def logged_as(request: Request) -> str | None:
    """Name of the asker in the log of answers and outcomes; None for those who try the service out.

    What integration and load tests, the canary's artificial riders or an administrator ask is no ride that anybody took: it
    must neither be watched nor learnt from.
    """
    if request.key is None:
        return ""
    return None if request.key.role in TESTERS else request.key.name


RIDERS: frozenset[Role] = frozenset({"rider", "auditor", "tester", "admin"})
"""Who may ask production."""
TESTERS: frozenset[Role] = frozenset({"tester", "admin"})
"""Who may ask staging and the canary alone."""
