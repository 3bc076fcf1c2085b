"""Which variant is released, and why, in words. The plain fp32 model unless another one is clearly cheaper and as good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiphys.errors import GateError

if TYPE_CHECKING:
    from components.export.variants.table import Variant
    from tiphys.usecase import Slo

CLEARLY = 0.5
"""Most that a variant may cost of what fp32 costs to be chosen instead. Two measurements of the same on a busy machine differ by
up to a third: the choice must not change with them."""


@dataclass(frozen=True)
class Choice:
    """The chosen variant and the reason."""

    name: str
    why: str


def choose(variants: Sequence[Variant], slo: Slo) -> Choice:
    """Pick from what was measured; the first variant is the plain one.

    Raises:
        GateError: none of them is what the SLO asks for; the message says what each lacks.
    """
    lacking = {each.name: lacks(each, slo) for each in variants}
    fitting = [each for each in variants if not lacking[each.name]]
    others = "; ".join(f"{name} {why}" for name, why in lacking.items() if why)
    if not fitting:
        message = f"no variant is what slo.py asks for: {others}"
        raise GateError(message)
    plain, cheapest = variants[0], min(fitting, key=_cost)
    if plain not in fitting:
        return Choice(cheapest.name, f"{cheapest.name} is the cheapest that holds the SLO; {others}")
    if cheapest is not plain and _cost(cheapest) <= CLEARLY * _cost(plain):
        saved = f"costs {_cost(cheapest) / _cost(plain):.2f} of {plain.name} (clearly less: at most {CLEARLY})"
        return Choice(cheapest.name, f"{cheapest.name} holds the SLO and {saved}; {others}".rstrip("; "))
    rest = [f"{each.name} costs {_cost(each) / _cost(plain):.2f} of it" for each in fitting if each is not plain]
    beaten = f"{', '.join(rest)}: not clearly less (at most {CLEARLY})" if rest else ""
    reasons = "; ".join(each for each in (beaten, others) if each)
    return Choice(plain.name, f"{plain.name} holds the SLO and is the plainest; {reasons}".rstrip("; "))


def lacks(variant: Variant, slo: Slo) -> str:
    """Say what a variant lacks to be released, or nothing."""
    if not variant.measured:
        return f"was not run ({variant.reason})"
    if not variant.served:
        return "is not served by Triton's onnxruntime backend"
    checks = (
        (variant.loss_at_most, slo.max_loss, "may lose {:.3%} of the error, {:.3%} is allowed"),
        (variant.size_mb, slo.max_model_mb, "has {:.1f} MB, {:g} is allowed"),
        (variant.p99_ms, slo.p99_ms, "takes {:.1f} ms at p99, {:g} is allowed"),
        (-(variant.rows_per_s or 0.0), -slo.batch_rows_per_s, "answers {:.0f} rows/s in batches, {:.0f} are asked for"),
    )
    for found, limit, text in checks:
        if found is None or not found <= limit:
            return text.format(abs(found or 0.0), abs(limit))
    return ""


def _cost(variant: Variant) -> float:
    return variant.cost_one_by_one or 0.0
