"""`tiphys parity FILE`: every field of a manifest, with what becomes of it here."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tiphys.cli.runs import in_colour

if TYPE_CHECKING:
    from tiphys.engine.field_survey import Field
    from tiphys.engine.linting.lines import Lines

Json = dict[str, Any]
_ORDER = ("refused", "advisory", "honoured")
_PAINT = {"refused": "Failed", "advisory": "Pending", "honoured": "Succeeded"}


def show_fields(args: argparse.Namespace, file: str) -> int:
    """Print the fields of a file's documents; 1 if one is refused."""
    from tiphys.cli.manifests import read_source
    from tiphys.engine.field_survey import REFUSED, survey

    found = [(document, lines, survey(document)) for document, lines in read_source(file)]
    if args.output == "json":
        import json

        print(json.dumps([_json(*each) for each in found], indent=2, ensure_ascii=False))
    else:
        for document, lines, fields in found:
            _print(document, lines, fields, whole=args.all, colour=in_colour(args))
    return 1 if any(field.verdict == REFUSED for _, _, fields in found for field in fields) else 0


def _name(document: Json) -> str:
    metadata = document.get("metadata") if isinstance(document.get("metadata"), dict) else {}
    return (
        f"{document.get('kind')} {(metadata or {}).get('name') or (metadata or {}).get('generateName') or ''}".strip()
    )


def _json(document: Json, lines: Lines | None, fields: list[Field]) -> Json:
    listed = [{**field.to_json(), "line": lines.of(field.keys, -1) if lines else 0} for field in fields]
    return {"object": _name(document), "fields": listed}


def _print(document: Json, lines: Lines | None, fields: list[Field], *, whole: bool, colour: bool) -> None:
    """A line for each sort of field, the ones that matter first; `whole`: for each place."""
    from tiphys.engine.tree import paint

    rows: dict[tuple[str, str], list[Field]] = {}
    for field in fields:
        rows.setdefault((field.verdict, field.path if whole else field.kind), []).append(field)
    ordered = sorted(rows.items(), key=lambda row: _ORDER.index(row[0][0]))
    width = max((len(name) for _, name in rows), default=0)
    print(f"{_name(document)}")
    for (verdict, name), each in ordered:
        line = f"line {lines.of(each[0].keys, -1)}" if lines else ""
        count = f" ({len(each)} times)" if len(each) > 1 else ""
        told = paint(f"{verdict:<8}", _PAINT[verdict], colour)
        print(f"  {told}  {name:<{width}}  {line:<10}{count} {each[0].reason}".rstrip())
    counts = [f"{sum(field.verdict == verdict for field in fields)} {verdict}" for verdict in reversed(_ORDER)]
    print(f"  {', '.join(counts)}\n")
