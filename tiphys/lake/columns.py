"""Which column of a file is which column of the contract: names in any of the known dialects, in any case."""

from __future__ import annotations

from collections.abc import Sequence

from tiphys.errors import DataError
from tiphys.usecase import DataContract


def match(file: str, names: Sequence[str], contract: DataContract) -> dict[str, str]:
    """The file's own names -> the contract's names ("" for a column that the contract does not know).

    Raises:
        DataError: required columns are missing, or two columns mean the same.
    """
    meaning = {alias.lower(): each.name for each in contract.columns for alias in (each.name, *each.aliases)}
    fields: dict[str, str] = {}
    for position, name in enumerate(names):
        known = meaning.get(name.strip().lower(), "")
        if known and known in fields.values():
            message = f"{file}: two columns mean {known!r}, the second is {name!r}: remove one"
            raise DataError(message)
        fields[name if name not in fields else f"{name}#{position}"] = known
    missing = [each.name for each in contract.columns if each.required and each.name not in fields.values()]
    if missing:
        raise DataError(_complaint(file, missing, names, contract))
    return fields


def _complaint(file: str, missing: list[str], names: Sequence[str], contract: DataContract) -> str:
    known = {each.name: " or ".join((each.name, *each.aliases)) for each in contract.columns}
    wanted = "; ".join(known[name] for name in missing)
    held = ", ".join(name[:40] for name in names[:30])
    return (
        f"{file} lacks {len(missing)} required column{'s' if len(missing) > 1 else ''}: {wanted} (any of the names "
        f"will do). It has: {held}. Rename its columns, or add its names as aliases in the use case's data.py"
    )
