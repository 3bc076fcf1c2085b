"""`tiphys parity diff A B`: two runs node by node, wherever they were."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.runs import in_colour

if TYPE_CHECKING:
    from tiphys.engine.run_diff import Diff, Side

Json = dict[str, Any]
_THERE = "there:"
_URL = re.compile(r"(https?://[^/\s]+)/(?:workflows/)?([a-z0-9.-]+)/([a-z0-9.-]+)")
_LARGEST = 64 << 20  # bytes


def differ(args: argparse.Namespace, first: str, second: str) -> int:
    """Print how two runs differ; 1 if they do."""
    from tiphys.engine.run_diff import compare

    sides = [_side(args, first), _side(args, second)]
    if sides[0].name == sides[1].name:
        sides = [replace(side, name=f"{letter} ({side.name})") for letter, side in zip("AB", sides, strict=True)]
    found = compare(*sides)
    if args.output == "json":
        import json

        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        _print(found, sides, colour=in_colour(args))
    return 1 if found.differences else 0


def _side(args: argparse.Namespace, wanted: str) -> Side:
    """The run that a person means. Raises EngineError or ClusterError."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.runs import find_run
    from tiphys.engine.argo_shape import workflow_json
    from tiphys.engine.run_diff import Side

    if address := _URL.fullmatch(wanted):
        return Side(address[3], _on_server(args, address[3], address[1], address[2]))
    if wanted.startswith(_THERE):
        return Side(wanted, _on_server(args, wanted.removeprefix(_THERE)))
    if wanted.endswith((".json", ".yaml", ".yml")):
        return Side(Path(wanted).name, _in_file(Path(wanted)))
    run = find_run(open_engine(), wanted)
    return Side(run.name, workflow_json(run))


def _on_server(args: argparse.Namespace, name: str, url: str = "", namespace: str = "") -> Json:
    from tiphys.cli import there
    from tiphys.cli.places import needed, open_server

    if url:
        args = argparse.Namespace(**{**vars(args), "server": url, "namespace": namespace})
    return there.workflow_of(open_server(needed(args)), name)


def _in_file(file: Path) -> Json:
    from tiphys.engine import EngineError, load_file

    if file.is_file() and file.stat().st_size > _LARGEST:
        msg = f"{file} has more than {_LARGEST:,} bytes, more than any Workflow: refused"
        raise EngineError(msg)
    found = [document for document in load_file(file) if document.get("kind") == "Workflow"]
    if len(found) != 1:
        msg = f"{file} holds {len(found)} Workflows: give a file with one, such as `argo get NAME -o json` prints"
        raise EngineError(msg)
    return found[0]


def _print(found: Diff, sides: list[Side], *, colour: bool) -> None:
    from tiphys.engine.tree import paint

    width = max((len(row.node) for row in found.rows), default=4)
    names = [side.name[:24] for side in sides]
    print(f"  {'NODE':<{width}}  {names[0]:<24}  {names[1]:<24}")
    for row in found.rows:
        mark = paint("=", "Succeeded", colour) if row.same else paint("≠", "Failed", colour)
        cells = [
            f"{phase or 'not there':<11} {time:>8.1f} s" if phase else f"{'not there':<22}"
            for phase, time in zip(row.phases, row.times, strict=True)
        ]
        print(f"{mark} {row.node:<{width}}  {cells[0]:<24}  {cells[1]:<24}".rstrip())
    print()
    for each in found.differences:
        print(f"  {each}")
    same = sum(row.same for row in found.rows)
    print(
        f"{same} of {len(found.rows)} nodes are the same; times are not compared"
        if found.differences
        else f"the same: {same} nodes"
    )
