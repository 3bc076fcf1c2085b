"""Refuses a manifest that is wrong before anything runs; messages name the thing as Argo's do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tiphys.engine import validate_tags
from tiphys.engine.depends import Dependencies
from tiphys.engine.errors import ManifestError
from tiphys.engine.fields import IN_CONTAINERS, check_fields
from tiphys.engine.images import ImageTable
from tiphys.engine.merge import with_defaults
from tiphys.engine.validate_arguments import check_arguments, check_supplied
from tiphys.engine.validate_kinds import KINDS, check_kind
from tiphys.engine.validate_tasks import check_hook, check_loop, check_order, check_step_name, check_tasks, is_loop
from tiphys.engine.validate_template import check_template, check_template_name, check_volumes

Json = dict[str, Any]
Find = Callable[[str, str], Json | None]
Notice = Callable[[str, validate_tags.Known, str], None]
_LEAF_NAMES = ("retries", "lastRetry", "pod.name", "tasks.name", "steps.name")
_NOTHING = validate_tags.Known(frozenset(), frozenset())
_REMEDY = ": give the parameter with -p {name}=..."


def validate(workflow: Json, spec: Json, documents: list[Json], find: Find, images: ImageTable) -> list[str]:
    """Notes on what is advisory. Raises ManifestError."""
    advisory: dict[str, str] = {}
    for document in [workflow, *documents]:
        advisory = {**check_fields(document), **advisory}
    check_arguments(spec.get("arguments") or {}, "spec.arguments", remedy=_REMEDY)
    checker = _Checker(spec, find, images)
    checker.whole()
    contained = {field: place for field, place in advisory.items() if field in IN_CONTAINERS}
    rest = {field: place for field, place in advisory.items() if field not in IN_CONTAINERS}
    notes = _note(rest, "on a cluster only")
    if images.storage is None or not images.storage.wants_all:
        notes += _note(contained, "in containers only: on a cluster, or here with --containers")
    return notes


def _note(advisory: dict[str, str], where: str) -> list[str]:
    """One line for all fields, with the place if there is one only."""
    if len(advisory) > 1:
        return [f"{', '.join(sorted(advisory))} count {where}"]
    return [f"{field} counts {where} (first at {place})" for field, place in advisory.items()]


def every_problem(
    spec: Json, find: Find, images: ImageTable, *, library: bool, notice: Notice | None = None
) -> list[str]:
    """What is wrong in `spec`: the first thing in the whole, the first in each template, and every tag; each once.

    `notice` hears of every tag. A `library` is a WorkflowTemplate: its entrypoint, and the values of its arguments, may come later.
    """
    arguments = spec.get("arguments") or {}
    found: dict[str, None] = {}

    def told(problem: str) -> None:
        found[problem] = None

    def checker() -> _Checker:
        return _Checker(spec, find, images, library=library, tell=told, notice=notice)

    checks: list[Callable[[], None]] = [
        lambda: check_arguments(arguments, "spec.arguments", optional=library, remedy=_REMEDY)
    ]
    if spec.get("entrypoint") or not library:
        checks.append(checker().whole)
    checks += [checker().one(template) for template in spec.get("templates") or []]
    for check in checks:
        try:
            check()
        except ManifestError as problem:
            found[str(problem)] = None
    return list(found)


class _Checker:
    def __init__(  # noqa: PLR0913
        self,
        spec: Json,
        find: Find,
        images: ImageTable,
        *,
        library: bool = False,
        tell: Callable[[str], None] | None = None,
        notice: Notice | None = None,
    ) -> None:
        """`tell` takes what is wrong with tags, which is raised without it; `notice` hears of every tag."""
        self._tell, self._notice = tell, notice
        self._spec = spec
        self._volumes = None if library else {str(volume.get("name")) for volume in spec.get("volumes") or []}
        self._find = find
        self._images = images
        self._seen: set[tuple[str, str, bool]] = set()
        self._parameters = {entry["name"] for entry in (spec.get("arguments") or {}).get("parameters") or []}

    def whole(self) -> None:
        templates = self._spec.get("templates") or []
        entrypoint = self._spec.get("entrypoint")
        if not entrypoint:
            msg = "spec.entrypoint is required: name the template to start with"
            raise ManifestError(msg)
        names: set[str] = set()
        for index, template in enumerate(templates):
            check_template_name(template, index, names)
        validate_tags.check_values(self._spec.get("arguments") or {}, "spec.arguments")
        self._entry({"template": entrypoint}, self._spec.get("arguments") or {}, on_exit=False)
        self._exit()
        for template in templates:
            self._unused(template)

    def one(self, template: Json) -> Callable[[], None]:
        """The check of one template by itself."""
        return lambda: self._unused(template)

    def _unused(self, template: Json) -> None:
        """A template that nothing calls, or whose callers are not asked: an exit handler may be its caller."""
        if not any(seen[:2] == ("", template.get("name")) for seen in self._seen):
            self._template(template, "", "templates", on_exit=True)

    def _entry(self, holder: Json, arguments: Json, *, on_exit: bool) -> None:
        scope, template = self._resolve(holder, "", "spec.onExit" if on_exit else "spec.entrypoint")
        self._template(template, scope, "templates", on_exit=on_exit)
        check_supplied(template, arguments, f"templates.{template['name']}")

    def _exit(self) -> None:
        if self._spec.get("onExit"):
            self._entry({"template": self._spec["onExit"]}, self._spec.get("arguments") or {}, on_exit=True)
        for name, hook in (self._spec.get("hooks") or {}).items():
            check_hook(name, hook, "spec.hooks")
            scope, template = self._resolve(hook, "", f"spec.hooks.{name}")
            self._template(template, scope, "templates", on_exit=True)

    def _resolve(self, holder: Json, scope: str, path: str) -> tuple[str, Json]:
        if holder.get("inline") is not None:
            return scope, {"name": "", **holder["inline"]}
        reference = holder.get("templateRef")
        if reference:
            kind = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
            scope = f"{kind}/{reference.get('name')}"
        name = (reference or holder).get("template") or ""
        if not name:
            msg = f"{path} names no template: give template, templateRef or inline"
            raise ManifestError(msg)
        kind, _, resource = scope.partition("/")
        spec = self._spec if not scope else (self._find(kind, resource) or {}).get("spec")
        for template in (spec or {}).get("templates") or []:
            if template.get("name") == name:
                return scope, template
        if scope:
            msg = (
                f"{path} template reference {resource}.{name} not found: apply the {kind}, or put it into the same file"
            )
            raise ManifestError(msg)
        known = ", ".join(str(template.get("name") or "?") for template in self._spec.get("templates") or [])
        msg = f"{path} template name '{name}' undefined (templates: {known})"
        raise ManifestError(msg)

    def _template(self, template: Json, scope: str, path: str, *, on_exit: bool) -> None:
        key = (scope, template.get("name") or str(id(template)), on_exit)
        if key in self._seen:
            return
        self._seen.add(key)
        place = f"{path}.{template.get('name')}" if template.get("name") else path
        kind = check_template(template, place)
        known = validate_tags.Known.of_template(template, self._parameters, on_exit=on_exit)
        known = replace(known, refuse=self._tell or known.refuse, notice=self._notice or known.notice)
        if kind in ("container", "script", *KINDS):
            check_kind(template, place, self._images)
            if self._volumes is not None:
                check_volumes(with_defaults(template, self._spec.get("templateDefaults")), self._volumes, place)
        template = {key: value for key, value in template.items() if key != "metrics"}  # they may name what comes later
        if kind in ("container", "script"):
            self._leaf(template, place, known)
        elif kind in KINDS:
            validate_tags.check(template, known.with_names(*_LEAF_NAMES), f"{place}:")
        elif kind == "steps":
            self._steps(template, scope, place, known, on_exit=on_exit)
        elif kind == "dag":
            self._dag(template, scope, place, known, on_exit=on_exit)
        else:
            validate_tags.check(template, known, place)

    def _leaf(self, template: Json, place: str, known: validate_tags.Known) -> None:
        defaulted = with_defaults(template, self._spec.get("templateDefaults"))
        body = defaulted.get("container") or defaulted.get("script") or {}
        image = body.get("image") or ""
        validate_tags.check(template, known.with_names(*_LEAF_NAMES), f"{place}:")
        if not image:
            msg = f"{place}.image is required"
            raise ManifestError(msg)
        if "{{" not in image:
            stand_in = self._images.require(image, template.get("name") or place)
            if "container" in defaulted and not (body.get("command") or stand_in.entrypoint or stand_in.cmd):
                msg = f"template {template.get('name')}: image {image} has no command: give `command` or map the image"
                raise ManifestError(msg)

    def _steps(self, template: Json, scope: str, place: str, known: validate_tags.Known, *, on_exit: bool) -> None:
        names: set[str] = set()
        for index, group in enumerate(template.get("steps") or []):
            gathered: list[tuple[Json, Json]] = []
            for step in group or []:
                where = f"{place}.steps[{index}]"
                check_step_name(step, where, names)
                gathered.append(
                    (step, self._step(step, scope, f"{where}.{step['name']}", known, "steps", on_exit=on_exit))
                )
            for step, called in gathered:
                known = known.with_step("steps", step["name"], called, loop=is_loop(step))
        validate_tags.check_outputs(template.get("outputs") or {}, known, place)

    def _step(self, step: Json, scope: str, path: str, known: validate_tags.Known, kind: str, *, on_exit: bool) -> Json:  # noqa: PLR0913
        check_loop(step, path)
        check_arguments(step.get("arguments") or {}, f"{path}.arguments")
        inner_scope, called = self._resolve(step, scope, path)
        item_known = known.with_items(step) if is_loop(step) else known
        body = {key: value for key, value in step.items() if key not in ("hooks", "inline")}
        group_path = path.rsplit(".steps[", 1)[0] + ".steps" if kind == "steps" else path
        validate_tags.check(body, item_known, group_path, task=step["name"] if kind == "tasks" else "")
        validate_tags.check_values(step.get("arguments") or {}, path)
        check_supplied(called, step.get("arguments") or {}, f"{path} templates.{called.get('name')}")
        self._template(called, inner_scope, "templates", on_exit=on_exit)
        own = item_known.with_step(kind, step["name"], called, loop=is_loop(step))
        self._hooks(step, scope, path, replace(own, on_exit=True))
        return called

    def _hooks(self, step: Json, scope: str, path: str, known: validate_tags.Known) -> None:
        """They know what the step itself has given."""
        for name, hook in (step.get("hooks") or {}).items():
            check_hook(name, hook, path)
            hook_scope, hook_template = self._resolve(hook, scope, f"{path}.hooks.{name}")
            validate_tags.check(hook, known, f"{path}.hooks.{name}")
            self._template(hook_template, hook_scope, "templates", on_exit=True)

    def _dag(self, template: Json, scope: str, place: str, known: validate_tags.Known, *, on_exit: bool) -> None:
        tasks = template["dag"].get("tasks") or []
        if not tasks:
            msg = f"{place} must have at least one task"
            raise ManifestError(msg)
        check_tasks(tasks, place)
        graph = Dependencies(tasks)
        check_order(graph, place)
        for target in (template["dag"].get("target") or "").split():
            if "{{" not in target and target not in graph.tasks:
                msg = f"{place}.targets: target '{target}' is not defined"
                raise ManifestError(msg)

        def given(name: str) -> validate_tags.Known:
            called = self._resolve(graph.tasks[name], scope, f"{place}.tasks.{name}")[1]
            return _NOTHING.with_step("tasks", name, called, loop=is_loop(graph.tasks[name]))

        def given_to(task: str) -> Callable[[str], validate_tags.Known | None]:
            # Asked for only when a tag names a task: the ancestors of every task of a long chain are many.
            return lambda name: given(name) if name in graph.of(task) or name in graph.ancestors(task) else None

        for task in tasks:
            inner = replace(known, before=given_to(task["name"]))
            self._step(task, scope, f"{place}.tasks.{task['name']}", inner, "tasks", on_exit=on_exit)
        everything = replace(known, before=lambda name: given(name) if name in graph.tasks else None)
        validate_tags.check_outputs(template.get("outputs") or {}, everything, place)
