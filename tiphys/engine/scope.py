"""What the steps of one steps or dag template may refer to: inputs, and what earlier steps gave."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tiphys.engine.errors import TemplateError
from tiphys.engine.expressions import evaluate, expand
from tiphys.engine.nodes import OMITTED, SKIPPED, Node

Json = dict[str, Any]
# Stands for an argument that refers to an output which a skipped step never made: the input's default applies.
ABSENT = "\ue000absent-optional\ue000"


class Scope:
    """Variables by dotted name: texts, None for an absent optional, and artifacts as objects."""

    def __init__(self, template: Json | None = None) -> None:
        """The inputs of `template`, whose arguments have been filled in."""
        self.values: dict[str, Any] = {}
        self._skipped: set[str] = set()
        inputs = (template or {}).get("inputs") or {}
        for parameter in inputs.get("parameters") or []:
            self.values[f"inputs.parameters.{parameter['name']}"] = parameter.get("value") or ""
        for artifact in inputs.get("artifacts") or []:
            self.values[f"inputs.artifacts.{artifact['name']}"] = artifact

    def set(self, name: str, value: Any) -> None:
        """Give a variable a value."""
        self.values[name] = value
        self._skipped.discard(name)

    def variables(self, globals_: Mapping[str, str] | None = None) -> dict[str, Any]:
        """All texts and absent optionals, over the workflow's globals."""
        merged: dict[str, Any] = dict(globals_ or {})
        merged.update({name: value for name, value in self.values.items() if value is None or isinstance(value, str)})
        return merged

    def add_workflow_outputs(self, outputs: Json | None) -> None:
        """What steps exported under a globalName."""
        for parameter in (outputs or {}).get("parameters") or []:
            if parameter.get("value") is not None:
                self.set(f"workflow.outputs.parameters.{parameter['name']}", parameter["value"])
        for artifact in (outputs or {}).get("artifacts") or []:
            self.set(f"workflow.outputs.artifacts.{artifact['name']}", artifact)

    def add_node(self, kind: str, name: str, node: Node) -> None:
        """What `kind`.`name`.* says about a step or task (kind is `steps` or `tasks`)."""
        prefix = f"{kind}.{name}"
        self.set(f"{prefix}.id", node.id)
        if node.pod_ip:
            self.set(f"{prefix}.ip", node.pod_ip)
        if node.started:
            self.set(f"{prefix}.startedAt", rfc3339(node.started))
        if node.finished:
            self.set(f"{prefix}.finishedAt", rfc3339(node.finished))
        self.set(f"{prefix}.status", node.phase)
        self.add_outputs(kind, name, node.outputs)

    def add_outputs(self, kind: str, name: str, outputs: Json | None) -> None:
        """The result, exit code, parameters and artifacts of a step or task."""
        prefix = f"{kind}.{name}"
        if outputs is None:
            return
        if outputs.get("result") is not None:
            self.set(f"{prefix}.outputs.result", outputs["result"])
        if outputs.get("exitCode") is not None:
            self.set(f"{prefix}.exitCode", outputs["exitCode"])
        for parameter in outputs.get("parameters") or []:
            if parameter.get("value") is not None:
                self.set(f"{prefix}.outputs.parameters.{parameter['name']}", parameter["value"])
        for artifact in outputs.get("artifacts") or []:
            self.set(f"{prefix}.outputs.artifacts.{artifact['name']}", artifact)

    def add_skipped(self, kind: str, name: str, node: Node, template: Json, *, artifacts: bool) -> None:
        """The declared outputs of a node that did not run: their defaults, else absent."""
        if node.outputs is not None or node.phase not in (SKIPPED, OMITTED):
            return
        outputs = template.get("outputs") or {}
        for parameter in outputs.get("parameters") or []:
            key = f"{kind}.{name}.outputs.parameters.{parameter['name']}"
            default = (parameter.get("valueFrom") or {}).get("default")
            self.set(key, default)
            if default is None:
                self._skipped.add(key)
        if artifacts:
            for artifact in outputs.get("artifacts") or []:
                self.set(f"{kind}.{name}.outputs.artifacts.{artifact['name']}", {"name": artifact["name"]})

    def mark_absent(self, arguments: Json) -> Json:
        """`arguments` with every pure reference to an absent optional replaced by the marker `ABSENT`."""
        parameters = arguments.get("parameters")
        if not parameters or not self._skipped:
            return arguments
        marked = [{**entry, "value": ABSENT} if self._is_absent(entry.get("value")) else entry for entry in parameters]
        return {**arguments, "parameters": marked}

    def _is_absent(self, value: Any) -> bool:
        if not (isinstance(value, str) and value.startswith("{{") and value.endswith("}}")):
            return False
        return value[2:-2].strip() in self._skipped

    def resolve(self, reference: str) -> tuple[str, Any]:
        """The name inside `{{reference}}` and its value. Raises TemplateError."""
        name = reference.removeprefix("{{").removesuffix("}}").strip()
        if name.startswith("="):
            try:
                result = evaluate(name[1:], expand(self.values))
            except TemplateError:
                msg = f'Unable to compile: "{name[1:]}"'
                raise TemplateError(msg) from None
            if result is None:
                msg = f'Unable to resolve: "{name}"'
                raise TemplateError(msg)
            return name, result
        if name not in self.values:
            msg = f'Unable to resolve: "{name}"'
            raise TemplateError(msg)
        return name, self.values[name]

    def is_skipped(self, name: str) -> bool:
        """Whether `name` is the output of a skipped step that has no default."""
        return name in self._skipped

    def expression(self, text: str) -> Any:
        """The value of a bare expression over this scope. Raises TemplateError."""
        return evaluate(text, expand(self.values))


def rfc3339(seconds: float) -> str:
    """A time as Kubernetes writes it: whole seconds, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
