"""All rules over one document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from tiphys.engine import lint
from tiphys.engine.errors import ManifestError
from tiphys.engine.images import ImageTable
from tiphys.engine.linting.calls import calls, unknown_arguments, unused
from tiphys.engine.linting.code import REMEDY, bodies_at, pasted
from tiphys.engine.linting.lines import Lines, Path, path_of
from tiphys.engine.linting.rules import OPT_OUT, RULES, Finding, refusal
from tiphys.engine.linting.tags import Heard, exported
from tiphys.engine.merge import effective_spec

Json = dict[str, Any]
Find = Callable[[str, str], Json | None]
_SPECS: dict[str, Path] = {
    **dict.fromkeys(("Workflow", *lint.TEMPLATES), ("spec",)),
    "CronWorkflow": ("spec", "workflowSpec"),
}
"""Where the spec with templates is, by kind of document."""
_TAG = re.compile(r"\{\{.*?\}\}")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def findings(document: Json, find: Find, images: ImageTable, lines: Lines | None = None) -> list[Finding]:
    """What is found in a document, in the order of its lines; `find(kind, name)` gives what it may refer to."""
    told: list[Finding] = []
    refused = lint.problems(document, find, images, Heard(_teller(document, lines, told), _exported(document, find)))
    found = [_placed(refusal(message), document, lines) for message in refused]
    found += told
    base = _SPECS.get(str(document.get("kind"))) if isinstance(document, dict) else None
    if base and not _is_broken(found):
        found += _in_spec(document, base, find, lines)
    unique = {(each.rule, each.message): each for each in reversed(found)}
    kept = [each for each in unique.values() if not opted_out(document, each)]
    return sorted(kept, key=lambda each: (each.line, each.rule, each.message))


def _at(document: Json, path: Path) -> Json:
    tree: Any = document
    for step in path:
        tree = tree.get(step) or {}
    return dict(tree)


def _is_broken(found: list[Finding]) -> bool:
    """Whether a document may not even have the shape that the rules rely on."""
    return any(each.rule in ("invalid", "not-yaml") for each in found)


def _teller(document: Json, lines: Lines | None, told: list[Finding]) -> Callable[[str, str, str], None]:
    def tell(rule: str, place: str, message: str) -> None:
        told.append(_placed(Finding(rule, place, message), document, lines))

    return tell


def _placed(finding: Finding, document: Json, lines: Lines | None) -> Finding:
    path = path_of(document, finding.place or finding.message)
    line = lines.of(path, -1) if lines else 0
    if lines and (tag := _TAG.search(finding.message)):
        line = lines.with_word(tag[0], line)  # the path in a message may end at the template
    return Finding(finding.rule, finding.place or shown(document, path), finding.message, line)


def shown(document: Json, path: Path) -> str:
    """A path as a person reads it: elements of lists by their name."""
    tree: Any = document
    text = ""
    for step in path:
        tree = tree[step]
        name = tree.get("name") if isinstance(step, int) and isinstance(tree, dict) else None
        text += (f".{name}" if name else f"[{step}]") if isinstance(step, int) else f".{step}"
    return text.removeprefix(".").removeprefix("spec.")


def _exported(document: Json, find: Find) -> frozenset[str] | None:
    """What is exported in a run of this document; None where a template that is not here may export more."""
    if not isinstance(document, dict) or document.get("kind") not in ("Workflow", "CronWorkflow"):
        return None
    try:
        spec = effective_spec({"spec": _at(document, _SPECS[document["kind"]])}, find)
        specs = [spec]
        for template in spec.get("templates") or []:
            for _, call in calls(template, ()):
                if reference := call.get("templateRef"):
                    kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
                    stored = find(kind, reference.get("name") or "")
                    if stored is None:
                        return None
                    specs.append(stored.get("spec") or {})
        return exported(iter(specs))
    except (ManifestError, AttributeError, TypeError, KeyError):
        return None


def _in_spec(document: Json, base: Path, find: Find, lines: Lines | None) -> Iterator[Finding]:
    spec = _at(document, base)

    def found(rule: str, path: Path, message: str, offset: int = -1) -> Finding:
        place = shown(document, path)
        return Finding(rule, place, f"{place}: {message}", lines.of(path, offset) if lines else 0)

    for path, message in unknown_arguments(spec, base, find):
        yield found("unknown-argument", path, message)
    if document["kind"] not in lint.TEMPLATES:
        for path, message in unused(spec, base):
            yield found("unused-template", path, message)
    for index, template in enumerate(spec.get("templates") or []):
        for each, path in _with_inline(template, (*base, "templates", index)):
            for place, offset, tag in pasted(each, path):
                yield found("parameter-in-code", place, f"{tag} becomes a part of the program: {REMEDY}", offset)
            for place, body in bodies_at(each, path):
                if _floats(body.get("image") or ""):
                    said = f"image {body['image']!r} is another one tomorrow: name a version, or a digest"
                    yield found("floating-image", (*place, "image"), said)


def _with_inline(template: Json, path: Path) -> Iterator[tuple[Json, Path]]:
    """A template, and those that stand inline in its steps."""
    yield template, path
    for place, call in calls(template, path):
        if call.get("inline") is not None:
            yield call["inline"], (*place, "inline")


def _floats(image: str) -> bool:
    if not image or "{{" in image or _DIGEST.search(image):
        return False
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    return tag in ("", "latest")


def opted_out(document: Any, finding: Finding) -> bool:
    """Whether an annotation of the document, or of the template that the place is in, says that the rule does not count."""
    if RULES[finding.rule].refused or not isinstance(document, dict):
        return False
    return finding.rule in _ignored(document) | _ignored(_template_at(document, finding.place))


def _template_at(document: Json, place: str) -> Json:
    path = path_of(document, place)
    base = _SPECS.get(str(document.get("kind")), ())
    at = len(base) + 1
    if path[:at] != (*base, "templates") or len(path) <= at:
        return {}
    template: Json = _at(document, base)["templates"][path[at]]
    return template


def _ignored(holder: Json) -> set[str]:
    given = [(holder.get("metadata") or {}).get("annotations") or {}, holder.get("annotations") or {}]
    texts = [str(each.get(OPT_OUT) or "") for each in given if isinstance(each, dict)]
    return {name.strip() for text in texts for name in text.split(",")}
