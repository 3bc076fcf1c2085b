"""Who is to be served: of the network and what else may be, the best that passes every gate. Knows no use case.

Each is judged as if it were the model; a gate that holds it against itself asks nothing. Without a champion to beat the network
stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from components.evaluate import judge
from tiphys.model_files import NETWORK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.evaluate.judge import Judged
    from components.evaluate.measure import Measured
    from tiphys.usecase import Gate

_TOLD = {"mae": "mae", "newest_mae": "newest.mae", "holdout_mae": "holdout.mae"}


@dataclass(frozen=True)
class Contender:
    """One that may be registered, and what was found of it."""

    name: str
    measured: Measured
    judged: list[Judged]

    @property
    def verdict(self) -> str:
        """``passed``, or which gates it missed."""
        return judge.verdict(self.judged)


def hold(gates: Sequence[Gate], measured: Measured) -> list[Contender]:
    """Judge the network, then each of the others."""
    others = {name: measured.instead(name) for name in measured.answers.modules}
    return [Contender(name, each, _judged(gates, name, each)) for name, each in {NETWORK: measured, **others}.items()]


def best(contenders: Sequence[Contender]) -> Contender:
    """Return the one of those that passed with the least error on the test rows; the network where none did."""
    return next(iter(passing(contenders)), contenders[0])


def passing(contenders: Sequence[Contender]) -> list[Contender]:
    """Return those that passed every gate, the one with the least error on the test rows first."""
    passed = [each for each in contenders if each.verdict == "passed"]
    return sorted(passed, key=lambda each: each.measured.figures["mae"])


def told(contenders: Sequence[Contender], chosen: Contender) -> list[dict[str, Any]]:
    """For a record: each with its errors and what became of it; nothing where the network stood alone."""
    return [_one(each, chosen) for each in contenders] if len(contenders) > 1 else []


def _one(each: Contender, chosen: Contender) -> dict[str, Any]:
    figures = each.measured.figures
    errors = {name: round(figures[key], 6) for name, key in _TOLD.items() if key in figures}
    passed = "registered" if each is chosen else f"passed, but {chosen.name} is better"
    return {"name": each.name, **errors, "outcome": passed if each.verdict == "passed" else each.verdict}


def _judged(gates: Sequence[Gate], name: str, measured: Measured) -> list[Judged]:
    found = judge.judge(gates, measured.figures)
    return [
        replace(each, outcome="not judged", lacks=f"it is {name} itself") if _itself(each, name) else each
        for each in found
    ]


def _itself(judged: Judged, name: str) -> bool:
    limit = judged.gate.limit
    return isinstance(limit, str) and (limit.startswith(f"{name}.") or limit.endswith(f".{name}_mae"))
