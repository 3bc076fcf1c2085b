"""The checks of a version: rows and rejects of each month, types, nulls, bounds, and how far medians moved.

They run on Arrow columns, one at a time, so memory holds one column. pandera would do the same on pandas frames: it
takes 3 s to import, as long as the whole step takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tiphys.lake.dataset import Dataset
from tiphys.lake.months import newest
from tiphys.usecase import DataContract

_SHOWN = 4


@dataclass(frozen=True)
class Check:
    """One check: what was looked at, what was found, what is allowed."""

    name: str
    passed: bool
    found: str
    allowed: str

    @property
    def complaint(self) -> str:
        """What to say where it failed."""
        return f"{self.name}: {self.found}, allowed is {self.allowed}"


def check(
    version: Dataset, rejects: Dataset, trained: Dataset | None, contract: DataContract, *, live: bool = False
) -> list[Check]:
    """Run every check of the contract.

    Args:
        version: what is checked.
        rejects: the rows that were refused of it.
        trained: the version that the last model was trained on.
        contract: what is demanded.
        live: whether live rows came in, so that months at the version's end have only begun.
    """
    found = [*_columns(version, contract)]
    if any(not each.passed for each in found):
        return found  # without its columns nothing else can be asked
    found += _months(version, rejects, contract, _begun(version, contract) if live else set())
    found.append(_time(version, contract))
    found += _bounds(version, contract)
    if trained is not None:
        found += _shifts(version, trained, contract)
    return found


def _columns(version: Dataset, contract: DataContract) -> Iterator[Check]:
    columns = {each.name: each.type for each in contract.columns}
    columns |= {each.name: each.type for each in contract.derived}
    for name, wanted in columns.items():
        held = version.schema.get(name, "missing")
        yield Check(f"column {name}", held == wanted, held, wanted)


def _begun(version: Dataset, contract: DataContract) -> set[str]:
    """The months after the last one that has all rows that a month must have: they are tested on together with it."""
    return set(newest(version.months, contract.min_rows_per_month)[1:])


def _months(version: Dataset, rejects: Dataset, contract: DataContract, begun: set[str]) -> Iterator[Check]:
    refused = rejects.months
    for month, rows in version.months.items():
        least = 1 if month in begun else contract.min_rows_per_month
        yield Check(f"rows of {month}", rows >= least, f"{rows:,} rows", f"at least {least:,}")
        share = refused.get(month, 0) / max(1, rows + refused.get(month, 0))
        most = contract.max_reject_share
        yield Check(f"rejected of {month}", share <= most, f"{share:.1%} rejected", f"at most {most:.1%}")


def _time(version: Dataset, contract: DataContract) -> Check:
    """Every row lies in the month that it is stored under, and has a time."""
    table = version.read([contract.time, "month"])
    own: Any = pc.strftime(table[contract.time], format="%Y-%m")
    same: Any = pc.equal(own, table["month"])
    wrong = len(table) - (pc.sum(same).as_py() or 0)
    return Check(f"{contract.time} in its month", wrong == 0, f"{wrong:,} rows elsewhere", "none")


def _bounds(version: Dataset, contract: DataContract) -> Iterator[Check]:
    for name, (low, high) in contract.bounds.items():
        column: Any = version.read([name])[name]
        inside: Any = pc.and_(pc.greater_equal(column, pa.scalar(low)), pc.less_equal(column, pa.scalar(high)))
        wrong = len(column) - (pc.sum(inside).as_py() or 0)
        span = pc.min_max(column)
        text = f"{wrong:,} of {len(column):,} outside or missing; {_figure(span['min'])}..{_figure(span['max'])}"
        yield Check(f"bounds of {name}", wrong == 0, text, f"{low:g}..{high:g}")


def _shifts(version: Dataset, trained: Dataset, contract: DataContract) -> Iterator[Check]:
    for name, most in contract.max_shift.items():
        if name not in trained.schema:
            continue
        before, now = _median(trained, name), _median(version, name)
        shift = abs(now - before) / abs(before) if before else float(now != before)
        text = f"median {now:g}, was {before:g}: {shift:.1%} away"
        yield Check(f"median of {name} against {trained.ref.tag}", shift <= most, text, f"at most {most:.1%}")


def _median(version: Dataset, name: str) -> float:
    """Exact median; 0 of no rows."""
    found = pc.quantile(version.read([name])[name], 0.5)[0].as_py()
    return 0.0 if found is None else float(found)


def _figure(value: Any) -> Any:
    held = value.as_py()
    return f"{held:g}" if isinstance(held, int | float) else held


def complaints(checks: list[Check]) -> str:
    """The failed checks in one line, the first few in full."""
    failed = [each.complaint for each in checks if not each.passed]
    more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    return "; ".join(failed[:_SHOWN]) + more
