"""How much may be in flight at once, in questions and in bytes: what comes on top is told to come back, at once and cheaply."""

from __future__ import annotations

from tiphys.serving.gateway.messages import Response, again, refusal

_FULL = refusal(503, "busy", "too many questions at once", again(1))
_HEAVY = refusal(503, "busy", "too many bytes at once", again(1))
_DECREASE = 0.8
"""Share of its places that are kept when answers are slow."""
_SLOW = 0.05
"""Share of answers that may be slow: what is asked is a p95."""
_FEWEST = 20
"""Answers that say anything of a p95."""


class Admission:
    """A bounded number of places."""

    __slots__ = ("most", "taken")

    def __init__(self, most: int) -> None:
        """Have ``most`` places."""
        self.most = most
        self.taken = 0

    def full(self) -> Response | None:
        """A refusal while no place is free."""
        return None if self.taken < self.most else _FULL

    def enter(self) -> None:
        """Take a place; each is left once."""
        self.taken += 1

    def leave(self) -> None:
        """Give a place back."""
        self.taken -= 1

    def learn(self, seconds: float) -> None:
        """Take in how long an answer of the model took: here it changes nothing."""


class Paced(Admission):
    """Places that become fewer while answers are slower than they should be, and more while they are not.

    With a fixed number of places, whoever is let in under overload waits for all who are before, and is answered too late.
    Refused at once, one may ask elsewhere or come back, and those who are let in keep their time. Additive increase,
    multiplicative decrease, as TCP shares a line (Chiu and Jain 1989): decided once for as many answers as there are places.
    """

    __slots__ = ("_answers", "_ceiling", "_good", "_least", "_peak", "_slow")

    def __init__(self, most: int, least: int, good: float, begin: int) -> None:
        """Have between ``least`` and ``most`` places, as many as are answered within ``good`` seconds; ``begin`` with so many."""
        super().__init__(min(most, max(least, begin)))
        self._ceiling = most
        self._least = least
        self._good = good
        self._begin()

    def _begin(self) -> None:
        self._answers = self._slow = self._peak = 0

    def learn(self, seconds: float) -> None:
        """Take in how long an answer took, after its place was left."""
        self._answers += 1
        self._slow += seconds > self._good
        self._peak = max(self._peak, self.taken + 1)
        if self._answers < max(self.most, _FEWEST):
            return
        if 2 * self._peak >= self.most:  # else they are not slow, or quick, because of how many there are
            is_slow = self._slow > _SLOW * self._answers
            self.most = max(self._least, int(_DECREASE * self.most)) if is_slow else min(self._ceiling, self.most + 1)
        self._begin()


class Budget:
    """A bounded number of bytes that all askers together may leave here."""

    __slots__ = ("held", "most")

    def __init__(self, most: int) -> None:
        """Hold at most ``most`` bytes."""
        self.most = most
        self.held = 0

    def take(self, size: int) -> Response | None:
        """Hold so many more; a refusal, with none of them held, if that were too many."""
        if self.held + size > self.most:
            return _HEAVY
        self.held += size
        return None

    def give(self, size: int) -> None:
        """Hold so many less."""
        self.held -= size
