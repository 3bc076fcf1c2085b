"""How templates call one another: arguments that nobody takes, templates that nobody calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tiphys.engine.linting.lines import Path

Json = dict[str, Any]
Find = Callable[[str, str], Json | None]


def calls(template: Json, path: Path) -> Iterator[tuple[Path, Json]]:
    """Each step, task and hook of a template, and of the templates that stand inline in it."""
    own: list[tuple[Path, Json]] = []
    for group, steps in enumerate(template.get("steps") or []):
        own += [((*path, "steps", group, index), step) for index, step in enumerate(steps or [])]
    for index, task in enumerate((template.get("dag") or {}).get("tasks") or []):
        own.append(((*path, "dag", "tasks", index), task))
    for place, call in own:
        yield place, call
        if call.get("inline") is not None:
            yield from calls(call["inline"], (*place, "inline"))
        for name, hook in (call.get("hooks") or {}).items():
            yield (*place, "hooks", name), hook


def unknown_arguments(spec: Json, base: Path, find: Find) -> Iterator[tuple[Path, str]]:
    """Arguments of calls that the called template does not declare, with what is wrong; `base` is where the spec is."""
    for index, template in enumerate(spec.get("templates") or []):
        for place, call in calls(template, (*base, "templates", index)):
            called, name = _called(spec, call, find)
            if called is None:
                continue
            inputs = called.get("inputs") or {}
            for section in ("parameters", "artifacts"):
                declared = [entry.get("name") for entry in inputs.get(section) or []]
                for at, argument in enumerate((call.get("arguments") or {}).get(section) or []):
                    if argument.get("name") not in declared:
                        known = ", ".join(map(str, declared)) or "none"
                        said = f"{name} takes no {section[:-1]} {argument.get('name')!r} (it declares: {known}): is it spelled right?"
                        yield (*place, "arguments", section, at), said


def _called(spec: Json, call: Json, find: Find) -> tuple[Json | None, str]:
    if call.get("inline") is not None:
        return call["inline"], "the inline template"
    reference = call.get("templateRef")
    wanted = (reference or call).get("template") or ""
    if reference:
        kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
        spec = (find(kind, reference.get("name") or "") or {}).get("spec") or {}
        name = f"{kind} {reference.get('name')}.{wanted}"
    else:
        name = f"template {wanted}"
    return next((each for each in spec.get("templates") or [] if each.get("name") == wanted), None), name


def unused(spec: Json, base: Path) -> Iterator[tuple[Path, str]]:
    """Templates that nothing of the Workflow calls."""
    called = {spec.get("entrypoint"), spec.get("onExit")}
    called |= {hook.get("template") for hook in (spec.get("hooks") or {}).values()}
    for template in spec.get("templates") or []:
        for _, call in calls(template, ()):
            called |= {call.get("template"), call.get("onExit")}
    if any("{{" in str(name) for name in called):
        return
    for index, template in enumerate(spec.get("templates") or []):
        if template.get("name") not in called:
            yield (
                (*base, "templates", index),
                f"nothing calls template {template.get('name')!r}: take it away, or call it",
            )
