"""Refuses `{{tags}}` that nothing will ever fill in, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tiphys.engine.errors import ManifestError
from tiphys.engine.merge import template_type

Json = dict[str, Any]
_PREFIXES = (
    "workflow.",
    "steps.",
    "tasks.",
    "inputs.",
    "outputs.",
    "item",
    "retries",
    "lastRetry.",
    "pod.name",
    "node.name",
)
_WORKFLOW = {
    "name", "namespace", "mainEntrypoint", "serviceAccountName", "uid", "creationTimestamp", "priority", "scheduledTime",
    "status", "duration", "parameters", "annotations", "labels",
}  # fmt: skip
_OPEN_WORKFLOW = (
    "creationTimestamp.",
    "labels.",
    "annotations.",
    "outputs.",
    "parameters.json",
    "labels.json",
    "annotations.json",
)
_NODE_FIELDS = {"id", "startedAt", "finishedAt", "status", "ip", "hostNodeName", "exitCode"}
_NOT_JSON = re.compile("[\x00-\x07\x0b\x0e-\x1f\x7f]")


def _refuse(message: str) -> None:
    raise ManifestError(message)


def _no_notice(_tag: str, _known: Known, _path: str) -> None:
    return


@dataclass(frozen=True)
class Known:
    """What tags may name at one place of a manifest; None among item keys means any.

    `refuse` is told what is wrong with a tag, and `notice` hears of every tag: who wants all problems gives their own.
    """

    parameters: frozenset[str]
    names: frozenset[str]
    on_exit: bool = False
    items: frozenset[str | None] | None = None
    before: Callable[[str], Known | None] = lambda _task: None
    refuse: Callable[[str], None] = _refuse
    notice: Callable[[str, Known, str], None] = _no_notice

    @classmethod
    def of_template(cls, template: Json, parameters: set[str], *, on_exit: bool) -> Known:
        """The workflow's parameters and the template's own inputs and output paths."""
        names = {"inputs.parameters", "node.name", "pod.name", "steps.name"}
        inputs, outputs = template.get("inputs") or {}, template.get("outputs") or {}
        names |= {f"inputs.parameters.{entry['name']}" for entry in inputs.get("parameters") or []}
        for artifact in inputs.get("artifacts") or []:
            names |= {f"inputs.artifacts.{artifact['name']}", f"inputs.artifacts.{artifact['name']}.path"}
        names |= {f"outputs.parameters.{entry['name']}.path" for entry in outputs.get("parameters") or []}
        names |= {f"outputs.artifacts.{entry['name']}.path" for entry in outputs.get("artifacts") or []}
        if template.get("retryStrategy") is not None:
            names |= {"retries", "lastRetry"}
        return cls(frozenset(parameters), frozenset(names), on_exit)

    def with_names(self, *names: str) -> Known:
        """The same, and `names`."""
        return replace(self, names=self.names | set(names))

    def with_step(self, kind: str, name: str, called: Json, *, loop: bool) -> Known:
        """The same, and what an earlier step or task gives."""
        prefix = f"{kind}.{name}"
        names = {f"{prefix}.{field}" for field in _NODE_FIELDS}
        outputs = called.get("outputs") or {}
        if (
            template_type(called) in ("container", "script", "http", "data", "resource", "containerSet", "suspend")
            or loop
        ):
            names.add(f"{prefix}.outputs.result")
        if loop:
            names.add(f"{prefix}.outputs.parameters")
        names |= {f"{prefix}.outputs.parameters.{entry['name']}" for entry in outputs.get("parameters") or []}
        names |= {f"{prefix}.outputs.artifacts.{entry['name']}" for entry in outputs.get("artifacts") or []}
        return replace(self, names=self.names | names)

    def with_items(self, step: Json) -> Known:
        """The same, and the items of a loop."""
        items = step.get("withItems")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            return replace(self, items=frozenset({None}))
        return replace(self, items=frozenset(key for item in items for key in item))

    def has(self, tag: str) -> bool:
        """Whether `tag` will have a value."""
        if tag in self.names or (tag.startswith("lastRetry.") and "lastRetry" in self.names):
            return True
        if tag.startswith("tasks.") and (given := self.before(tag.split(".")[1])) is not None:
            return tag in given.names
        if tag == "item" or tag.startswith("item."):
            return self._has_item(tag)
        if tag.startswith("workflow."):
            return self._has_global(tag.removeprefix("workflow."))
        return False

    def has_task(self, name: str) -> bool:
        """Whether the DAG task `name` comes before."""
        return self.before(name) is not None

    def _has_item(self, tag: str) -> bool:
        if self.items is None:
            return True  # Outside of loops Argo leaves the tag as it is.
        return tag == "item" or None in self.items or tag.removeprefix("item.") in self.items

    def _has_global(self, name: str) -> bool:
        if name == "failures":
            return self.on_exit
        if name in _WORKFLOW or name.startswith(_OPEN_WORKFLOW):
            return True
        return name.startswith("parameters.") and name.removeprefix("parameters.") in self.parameters


def check(tree: Any, known: Known, path: str, *, task: str = "") -> None:
    """Refuse tags in `tree` that `known` does not have. `task` names the DAG task that `tree` is."""
    for text, parameter in _texts(tree, ""):
        for tag in _tags(text, path):
            _check_tag(tag, known, path, task, parameter)


def _check_tag(tag: str, known: Known, path: str, task: str, parameter: str) -> None:
    known.notice(tag, known, path)
    if tag.startswith("="):
        return
    name = tag.strip()
    if "{{" in name:
        inner = name.rsplit("{{", 1)[1].strip()
        if not known.has(inner) or inner.startswith("item"):
            msg = f"{path} failed to resolve {{{{{tag}}}}}: write {{{{=inputs.parameters[item]}}}} to choose by item"
            known.refuse(msg)
        return
    if not name.startswith(_PREFIXES) or known.has(name):
        return
    if task and name.startswith("tasks.") and ".outputs.artifacts." not in name:
        missing = name.split(".")[1]
        if not known.has_task(missing):
            where = f" for parameter '{parameter}'" if parameter else ""
            msg = f"{path} missing dependency '{missing}'{where}: {{{{{tag}}}}} needs a task that comes before"
            known.refuse(msg)
            return
    known.refuse(f"{path} failed to resolve {{{{{tag}}}}}: nothing gives it a value here")


def _texts(tree: Any, parameter: str) -> list[tuple[str, str]]:
    """All texts of `tree` that hold a tag, each with the name of the parameter that it is in."""
    if isinstance(tree, str):
        return [(tree, parameter)] if "{{" in tree else []
    if isinstance(tree, dict):
        name = str(tree.get("name") or parameter)
        return [found for value in tree.values() for found in _texts(value, name)]
    if isinstance(tree, list):
        return [found for value in tree for found in _texts(value, parameter)]
    return []


def _tags(text: str, path: str) -> list[str]:
    found, at = [], 0
    while (start := text.find("{{", at)) >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            msg = f'{path} Cannot find end tag="}}}}" in {text!r}: close the tag, or do not write "{{{{"'
            raise ManifestError(msg)
        found.append(text[start + 2 : end])
        at = end + 2
    return found


def check_outputs(outputs: Json, known: Known, path: str) -> None:
    """Refuse outputs of a steps or dag template that name nothing."""
    for entry in outputs.get("parameters") or []:
        reference = ((entry.get("valueFrom") or {}).get("parameter") or "").strip()
        if reference and "{{" in reference:
            check(reference, known, f"{path}.outputs.parameters.{entry['name']}")
    for entry in outputs.get("artifacts") or []:
        check(entry.get("from") or "", known, f"{path}.outputs.artifacts.{entry['name']}")


def check_values(arguments: Json, path: str) -> None:
    """Refuse values that JSON can't carry as Argo inserts them."""
    for parameter in arguments.get("parameters") or []:
        value = parameter.get("value")
        if isinstance(value, str):
            _tags(value, f"{path}: parameter {parameter.get('name')!r}:")
        if isinstance(value, str) and _NOT_JSON.search(value):
            msg = (
                f"{path}: parameter {parameter.get('name')!r} holds a control character: Argo cannot finish template "
                "replacement because the result was invalid JSON: encode the value, with base64 for instance"
            )
            raise ManifestError(msg)
