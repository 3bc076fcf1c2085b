"""Compares what the engine makes of a workflow with what was recorded of a real Argo.

A recorded case is NAME.yaml with NAME.json beside it: phase, message, outputs and nodes, by name instead of id, without
times, the run's own name replaced by WF; or `{"rejected": MESSAGE}`. `normalise` makes that shape from any Workflow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.engine.differences import DELIBERATE, REFUSALS
from tiphys.engine.errors import EngineError, ManifestError

if TYPE_CHECKING:
    from tiphys.engine.engine import Engine

Json = dict[str, Any]
AS_ARGO, DELIBERATELY, DIFFERENT, REFUSED, RAN, LATE = (
    "as Argo", "deliberate", "different", "refused", "ran", "out of time",
)  # fmt: skip
_ID = re.compile(r"-\d{6,10}\b")
_NAME = "WF"
_SENT_BY = "rpc error: code = InvalidArgument desc = "  # before what Argo's server says


@dataclass(frozen=True)
class Case:
    """A workflow to run, and what Argo did with it if that is known."""

    name: str
    manifest: Path
    recorded: Path | None


@dataclass(frozen=True)
class Verdict:
    """What became of a case: `detail` is a reason, the first difference, a refusal, or the run's message."""

    case: str
    verdict: str
    phase: str = ""
    detail: str = ""

    def to_json(self) -> Json:
        """A JSON object."""
        return asdict(self)


def cases(folder: Path, pattern: str = "*") -> list[Case]:
    """The cases of a folder whose name matches. Raises EngineError if there is none."""
    if folder.is_file():
        msg = f"{folder} is a file: give its folder, and --only {folder.stem}"
        raise EngineError(msg)
    files = sorted(file for file in folder.glob("*") if file.suffix in (".yaml", ".yml"))
    found = [
        Case(file.stem, file, file.with_suffix(".json") if file.with_suffix(".json").exists() else None)
        for file in files
        if fnmatch(file.stem, pattern)
    ]
    if not found:
        msg = f"{folder} has no workflow (NAME.yaml) that matches {pattern!r}: give a folder of manifests"
        raise EngineError(msg)
    return found


def judge(case: Case, engine: Engine) -> Verdict:
    """Run a case to its end and compare; takes as long as the workflow does."""
    from tiphys.engine.argo_shape import workflow_json  # noqa: PLC0415
    from tiphys.engine.load import load_file  # noqa: PLC0415

    recorded = _recorded(case)
    try:
        name = engine.submit(load_file(case.manifest))
    except ManifestError as problem:
        return _refused(case, recorded, str(problem))
    run = engine.run(name, handle_signals=False)
    shape = json.loads(json.dumps(workflow_json(run)))
    if recorded is None:
        return Verdict(case.name, RAN, run.phase, run.message)
    return _listed(case.name, run.phase, _difference(recorded, normalise(shape)))


def _recorded(case: Case) -> Json | None:
    if case.recorded is None:
        return None
    found: Json = json.loads(case.recorded.read_text(encoding="utf-8"))
    return normalise(found) if "metadata" in found else found


def _refused(case: Case, recorded: Json | None, message: str) -> Verdict:
    if recorded is None:
        return Verdict(case.name, REFUSED, "refused", message)
    if "rejected" not in recorded:
        return _listed(case.name, "refused", [f"refused here, {recorded.get('phase')} on Argo: {message}"])
    if same_refusal(case.name, recorded["rejected"], message):
        return Verdict(case.name, AS_ARGO, "refused", message)
    return Verdict(case.name, DIFFERENT, "refused", f"Argo refuses it ({recorded['rejected']}), here: {message}")


def same_refusal(case: str, theirs: str, ours: str) -> bool:
    """Whether our message has the words of Argo's, or those that the list of differences has for the case."""
    return (REFUSALS.get(case) or theirs.rpartition(_SENT_BY)[2]) in ours


def _listed(case: str, phase: str, differences: list[str]) -> Verdict:
    if not differences:
        return Verdict(case, AS_ARGO, phase)
    known = DELIBERATE.get(case)
    if known is not None and known.phase == phase and _are(differences, known.places):
        return Verdict(case, DELIBERATELY, phase, known.reason)
    return Verdict(case, DIFFERENT, phase, differences[0])


def _are(differences: list[str], places: tuple[str, ...]) -> bool:
    """Whether these are the differences that are known, each of them and no other."""
    return len(differences) == len(places) and all(
        any(difference.startswith(place) for difference in differences) for place in places
    )


def _difference(recorded: Json, ours: Json) -> list[str]:
    if "rejected" in recorded:
        return [f"Argo refuses it ({recorded['rejected']}), here it ended in {ours.get('phase')}"]
    return list(differences(recorded, ours))


# --- the shape of a record


def normalise(workflow: Json) -> Json:
    """What can be compared of a Workflow in Argo's JSON; nodes are sorted by name."""
    name = workflow["metadata"]["name"]
    status = workflow.get("status") or {}
    nodes: dict[str, Json] = status.get("nodes") or {}
    names = {identity: _plain(node["name"], name) for identity, node in nodes.items()}
    rows = sorted((_row(node, name, names) for node in nodes.values()), key=lambda row: str(row["name"]))
    whole = _given(
        phase=status.get("phase"),
        message=_plain(status.get("message"), name),
        outputs=_outputs(status.get("outputs")),
        nodes=rows,
    )
    renamed: Json = _renamed(whole, name)
    return renamed


def _row(node: Json, name: str, names: dict[str, str]) -> Json:
    return _given(
        name=_plain(node["name"], name),
        displayName=_plain(node.get("displayName"), name),
        type=node["type"],
        phase=node.get("phase"),
        message=_plain(node.get("message"), name),
        templateName=node.get("templateName"),
        boundary=names.get(node.get("boundaryID") or ""),
        children=sorted(names.get(child, "?") for child in node.get("children") or []) or None,
        inputs=_values(node.get("inputs")),
        outputs=_outputs(node.get("outputs")),
        memoized=(node.get("memoizationStatus") or {}).get("hit"),
        flags=node.get("nodeFlag"),
    )


def _given(**fields: Any) -> Json:
    return {key: value for key, value in fields.items() if value is not None}


def _plain(text: Any, name: str) -> Any:
    """Without the run's name and the ids of its nodes."""
    return _ID.sub("-<id>", text.replace(name, _NAME)) if isinstance(text, str) else text


def _values(section: Json | None) -> Json | None:
    return {entry["name"]: entry.get("value") for entry in (section or {}).get("parameters") or []} or None


def _outputs(section: Json | None) -> Json | None:
    section = section or {}
    artifacts = sorted(entry["name"] for entry in section.get("artifacts") or [])
    found = _given(parameters=_values(section), artifacts=artifacts or None)
    return {**{key: section[key] for key in ("result", "exitCode") if key in section}, **found} or None


def _renamed(tree: Any, name: str) -> Any:
    if isinstance(tree, dict):
        return {key.replace(name, _NAME): _renamed(value, name) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_renamed(item, name) for item in tree]
    return tree.replace(name, _NAME) if isinstance(tree, str) else tree


# --- the first difference


def differences(recorded: Json, ours: Json, names: tuple[str, str] = ("Argo", "here")) -> Iterator[str]:
    """Each node and field in which two records differ, in words; `names` are those of the two sides."""
    yield from _fields("workflow", recorded, ours, names)
    theirs = {node["name"]: node for node in recorded.get("nodes") or []}
    mine = {node["name"]: node for node in ours.get("nodes") or []}
    for name in sorted({*theirs, *mine}):
        if name not in mine:
            yield f"node {name}: only {_at(names[0])} ({theirs[name].get('phase')})"
        elif name not in theirs:
            yield f"node {name}: only {_at(names[1])} ({mine[name].get('phase')})"
        else:
            yield from _fields(f"node {name}", theirs[name], mine[name], names)


def _at(side: str) -> str:
    return side if side == "here" else f"on {side}"


def _fields(what: str, recorded: Json, ours: Json, names: tuple[str, str]) -> Iterator[str]:
    for key in dict.fromkeys([*recorded, *ours]):
        theirs, mine = recorded.get(key), ours.get(key)
        if key != "nodes" and theirs != mine:
            yield f"{what}, {key}: {names[0]} {_shown(theirs)}, {names[1]} {_shown(mine)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)
