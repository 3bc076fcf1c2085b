"""Refuses a manifest that is wrong before anything runs; messages name the thing as Argo's do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tiphys.engine import validate_tags
from tiphys.engine.depends import ITEM_RESULTS, RESULTS, Dependencies, terms
from tiphys.engine.errors import ManifestError
from tiphys.engine.fields import check_fields
from tiphys.engine.images import ImageTable
from tiphys.engine.inputs import has_location
from tiphys.engine.merge import TEMPLATE_TYPES, template_type, with_defaults
from tiphys.engine.retry import POLICIES
from tiphys.engine.validate_kinds import KINDS, check_kind

Json = dict[str, Any]
Find = Callable[[str, str], Json | None]
_TEMPLATE_NAME = re.compile(r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")
_STEP_NAME = re.compile(r"^[a-zA-Z0-9][-a-zA-Z0-9]*$")
_PARAMETER_NAME = re.compile(r"^[-a-zA-Z0-9_]+$")
_LONGEST_NAME = 128
_LEAF_NAMES = ("retries", "lastRetry", "pod.name", "tasks.name", "steps.name")
_NOTHING = validate_tags.Known(frozenset(), frozenset())
_LOOPS = ("withItems", "withParam", "withSequence")


def validate(workflow: Json, spec: Json, documents: list[Json], find: Find, images: ImageTable) -> list[str]:
    """Notes on what is advisory. Raises ManifestError."""
    advisory: dict[str, str] = {}
    for document in [workflow, *documents]:
        advisory = {**check_fields(document), **advisory}
    check_arguments(spec)
    checker = _Checker(spec, find, images)
    checker.whole()
    return [f"{field} counts on a cluster only (first at {place})" for field, place in advisory.items()]


def check_arguments(spec: Json) -> None:
    """Refuse a workflow's arguments without a value, or with one that is not among its enum. Raises ManifestError."""
    for parameter in (spec.get("arguments") or {}).get("parameters") or []:
        name = f"spec.arguments.{parameter.get('name')}"
        if parameter.get("value") is None and parameter.get("valueFrom") is None:
            msg = (
                f"{name}.value or {name}.valueFrom is required: give the parameter with -p {parameter.get('name')}=..."
            )
            raise ManifestError(msg)
        _enum(parameter, name)


def _enum(parameter: Json, name: str) -> None:
    if parameter.get("enum") is None:
        return
    if not parameter["enum"]:
        msg = f"{name}.enum should contain at least one value"
        raise ManifestError(msg)
    if parameter.get("value") is not None and parameter["value"] not in parameter["enum"]:
        msg = f"{name}.value should be present in {name}.enum list"
        raise ManifestError(msg)


def every_problem(spec: Json, find: Find, images: ImageTable, *, library: bool) -> list[str]:
    """What is wrong in `spec`: the first thing in the whole, and the first in each template; each once.

    A `library` is a WorkflowTemplate: its entrypoint, and the values of its arguments, may come later.
    """
    checks: list[Callable[[], None]] = []
    if library:
        for parameter in (spec.get("arguments") or {}).get("parameters") or []:
            if parameter.get("valueFrom") is None:
                parameter.setdefault("value", "")
    else:
        checks.append(lambda: check_arguments(spec))
    if spec.get("entrypoint") or not library:
        checks.append(_Checker(spec, find, images).whole)
    checks += [_Checker(spec, find, images).one(template) for template in spec.get("templates") or []]
    found: dict[str, None] = {}
    for check in checks:
        try:
            check()
        except ManifestError as problem:
            found[str(problem)] = None
    return list(found)


class _Checker:
    def __init__(self, spec: Json, find: Find, images: ImageTable) -> None:
        self._spec = spec
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
            _template_name(template, index, names)
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
        scope, template = self._resolve(holder, "", "spec.entrypoint")
        self._template(template, scope, "templates", on_exit=on_exit)
        _supplied(template, arguments, f"templates.{template['name']}")

    def _exit(self) -> None:
        if self._spec.get("onExit"):
            self._entry({"template": self._spec["onExit"]}, self._spec.get("arguments") or {}, on_exit=True)
        for name, hook in (self._spec.get("hooks") or {}).items():
            _hook(name, hook, "spec.hooks")
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
        known = ", ".join(template.get("name", "?") for template in self._spec.get("templates") or [])
        msg = f"{path} template name '{name}' undefined (templates: {known})"
        raise ManifestError(msg)

    def _template(self, template: Json, scope: str, path: str, *, on_exit: bool) -> None:
        key = (scope, template.get("name") or str(id(template)), on_exit)
        if key in self._seen:
            return
        self._seen.add(key)
        place = f"{path}.{template.get('name')}" if template.get("name") else path
        kind = _shape(template, place)
        known = validate_tags.Known.of_template(template, self._parameters, on_exit=on_exit)
        if kind in ("container", "script", *KINDS):
            check_kind(template, place, self._images)
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
            if "container" in defaulted and not body.get("command") and not stand_in.entrypoint:
                msg = f"template {template.get('name')}: image {image} has no command: give `command` or map the image"
                raise ManifestError(msg)

    def _steps(self, template: Json, scope: str, place: str, known: validate_tags.Known, *, on_exit: bool) -> None:
        names: set[str] = set()
        for index, group in enumerate(template.get("steps") or []):
            gathered: list[tuple[Json, Json]] = []
            for step in group or []:
                where = f"{place}.steps[{index}]"
                _step_name(step, where, names)
                gathered.append(
                    (step, self._step(step, scope, f"{where}.{step['name']}", known, "steps", on_exit=on_exit))
                )
            for step, called in gathered:
                known = known.with_step("steps", step["name"], called, loop=_is_loop(step))
        validate_tags.check_outputs(template.get("outputs") or {}, known, place)

    def _step(self, step: Json, scope: str, path: str, known: validate_tags.Known, kind: str, *, on_exit: bool) -> Json:  # noqa: PLR0913
        _loop(step, path)
        for name, hook in (step.get("hooks") or {}).items():
            _hook(name, hook, path)
            hook_scope, hook_template = self._resolve(hook, scope, f"{path}.hooks.{name}")
            self._template(hook_template, hook_scope, "templates", on_exit=True)
        inner_scope, called = self._resolve(step, scope, path)
        item_known = known.with_items(step) if _is_loop(step) else known
        body = {key: value for key, value in step.items() if key not in ("hooks", "inline")}
        group_path = path.rsplit(".steps[", 1)[0] + ".steps" if kind == "steps" else path
        validate_tags.check(body, item_known, group_path, task=step["name"] if kind == "tasks" else "")
        validate_tags.check_values(step.get("arguments") or {}, path)
        _argument_values(step, path)
        _supplied(called, step.get("arguments") or {}, f"{path} templates.{called.get('name')}")
        self._template(called, inner_scope, "templates", on_exit=on_exit)
        return called

    def _dag(self, template: Json, scope: str, place: str, known: validate_tags.Known, *, on_exit: bool) -> None:
        tasks = template["dag"].get("tasks") or []
        if not tasks:
            msg = f"{place} must have at least one task"
            raise ManifestError(msg)
        _task_shapes(tasks, place)
        graph = Dependencies(tasks)
        _sorted(graph, place)
        for target in (template["dag"].get("target") or "").split():
            if "{{" not in target and target not in graph.tasks:
                msg = f"{place}.targets target '{target}' is not defined"
                raise ManifestError(msg)

        def given(name: str) -> validate_tags.Known:
            called = self._resolve(graph.tasks[name], scope, f"{place}.tasks.{name}")[1]
            return _NOTHING.with_step("tasks", name, called, loop=_is_loop(graph.tasks[name]))

        def given_to(task: str) -> Callable[[str], validate_tags.Known | None]:
            # Asked for only when a tag names a task: the ancestors of every task of a long chain are many.
            return lambda name: given(name) if name in graph.of(task) or name in graph.ancestors(task) else None

        for task in tasks:
            inner = replace(known, before=given_to(task["name"]))
            self._step(task, scope, f"{place}.tasks.{task['name']}", inner, "tasks", on_exit=on_exit)
        everything = replace(known, before=lambda name: given(name) if name in graph.tasks else None)
        validate_tags.check_outputs(template.get("outputs") or {}, everything, place)


def _template_name(template: Json, index: int, names: set[str]) -> None:
    name = template.get("name") or ""
    if not _TEMPLATE_NAME.match(name) or len(name) > _LONGEST_NAME:
        msg = f"spec.templates[{index}].name '{name}' is invalid: write letters, digits and '-', 128 at most"
        raise ManifestError(msg)
    if name in names:
        msg = f"spec.templates[{index}].name '{name}' is not unique"
        raise ManifestError(msg)
    names.add(name)


def _shape(template: Json, place: str) -> str:
    kinds = [kind for kind in TEMPLATE_TYPES if template.get(kind) is not None]
    if not kinds:
        msg = f"template '{template.get('name')}' type is unknown: give container, script, steps, dag or suspend"
        raise ManifestError(msg)
    if len(kinds) > 1:
        msg = f"{place} has {' and '.join(kinds)}: a template has exactly one type"
        raise ManifestError(msg)
    kind = template_type(template)
    if template.get("parallelism") is not None and kind not in ("steps", "dag"):
        msg = f"{place}.parallelism is only valid for steps and dag templates"
        raise ManifestError(msg)
    policy = (template.get("retryStrategy") or {}).get("retryPolicy")
    if policy and policy not in POLICIES:
        msg = f"{place} {policy} is not a valid RetryPolicy (valid: {', '.join(POLICIES)})"
        raise ManifestError(msg)
    _inputs(template.get("inputs") or {}, place)
    _outputs(template.get("outputs") or {}, kind, place)
    return kind


def _inputs(inputs: Json, place: str) -> None:
    for section in ("parameters", "artifacts"):
        _names(inputs.get(section) or [], f"{place}.inputs.{section}")
    for parameter in inputs.get("parameters") or []:
        _enum(parameter, f"{place}.inputs.parameters.{parameter['name']}")
    paths: dict[str, str] = {}
    for index, artifact in enumerate(inputs.get("artifacts") or []):
        path = artifact.get("path")
        if path in paths:
            msg = f"{place}.inputs.artifacts[{index}].path '{path}' already mounted in inputs.artifacts.{paths[path]}"
            raise ManifestError(msg)
        if path:
            paths[path] = artifact["name"]


def _names(entries: list[Json], place: str) -> None:
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        name = entry.get("name") or ""
        if not _PARAMETER_NAME.match(name):
            msg = (
                f"{place}[{index}].name: '{name}' is invalid: Parameter/Artifact name must consist of alpha-numeric "
                "characters, '_' or '-' e.g. my_param_1, MY-PARAM-1"
            )
            raise ManifestError(msg)
        if name in seen:
            msg = f"{place}[{index}].name '{name}' is not unique"
            raise ManifestError(msg)
        seen.add(name)


def _outputs(outputs: Json, kind: str, place: str) -> None:
    for section in ("parameters", "artifacts"):
        _names(outputs.get(section) or [], f"{place}.outputs.{section}")
    for entry in outputs.get("parameters") or []:
        _output_parameter(entry, kind, f"{place}.outputs.parameters.{entry['name']}")
    for entry in outputs.get("artifacts") or []:
        where = f"{place}.outputs.artifacts.{entry['name']}"
        if kind in ("container", "script", "containerSet") and not entry.get("path"):
            msg = f"{where}.path not specified"
            raise ManifestError(msg)
        if kind in ("steps", "dag") and not entry.get("from") and not entry.get("fromExpression"):
            msg = f"{where}.from or {where}.fromExpression must be specified for {kind} templates"
            raise ManifestError(msg)


def _output_parameter(entry: Json, kind: str, where: str) -> None:
    source = entry.get("valueFrom")
    if source is None:
        if entry.get("value") is None:
            msg = f"{where} does not have valueFrom or value specified"
            raise ManifestError(msg)
        return
    if kind in ("container", "script", "containerSet") and not source.get("path") and "supplied" not in source:
        msg = f"{where}.path must be specified for {kind.capitalize()} templates"
        raise ManifestError(msg)
    if kind in ("steps", "dag") and not source.get("parameter") and not source.get("expression"):
        name = "DAG" if kind == "dag" else "Steps"
        msg = f"{where}.parameter or expression must be specified for {name} templates"
        raise ManifestError(msg)


def _step_name(step: Json, where: str, names: set[str]) -> None:
    name = step.get("name") or ""
    if not _STEP_NAME.match(name):
        msg = (
            f"{where}.name '{name}' is invalid: name must consist of alpha-numeric characters or '-', "
            "and must start with an alpha-numeric character (e.g. My-name1-2, 123-NAME)"
        )
        raise ManifestError(msg)
    if name in names:
        msg = f"{where}.name '{name}' is not unique"
        raise ManifestError(msg)
    names.add(name)


def _is_loop(step: Json) -> bool:
    return any(step.get(kind) is not None for kind in _LOOPS)


def _loop(step: Json, path: str) -> None:
    if sum(1 for kind in _LOOPS if step.get(kind)) > 1:
        msg = f"{path} only one of withItems, withParam, withSequence can be specified"
        raise ManifestError(msg)
    sequence = step.get("withSequence")
    if sequence is not None:
        if sequence.get("count") is not None and sequence.get("end") is not None:
            msg = f"{path} only one of count or end can be defined in withSequence"
            raise ManifestError(msg)
        if sequence.get("count") is None and sequence.get("end") is None:
            msg = f"{path} must have count or end defined in withSequence"
            raise ManifestError(msg)


def _hook(name: str, hook: Json, path: str) -> None:
    if name != "exit" and not hook.get("expression"):
        msg = f"{path}.{name} Expression required"
        raise ManifestError(msg)


def _argument_values(step: Json, path: str) -> None:
    for parameter in (step.get("arguments") or {}).get("parameters") or []:
        where = f"{path}.arguments.{parameter.get('name')}"
        if parameter.get("value") is None and parameter.get("valueFrom") is None:
            msg = f"{where}.value or {where}.valueFrom is required"
            raise ManifestError(msg)


def _supplied(called: Json, arguments: Json, path: str) -> None:
    inputs = called.get("inputs") or {}
    given = {entry["name"] for entry in arguments.get("parameters") or []}
    for parameter in inputs.get("parameters") or []:
        has_own = any(parameter.get(field) is not None for field in ("value", "default", "valueFrom"))
        if parameter["name"] not in given and not has_own:
            msg = f"{path} inputs.parameters.{parameter['name']} was not supplied"
            raise ManifestError(msg)
    artifacts = {entry["name"] for entry in arguments.get("artifacts") or []}
    for artifact in inputs.get("artifacts") or []:
        if artifact["name"] not in artifacts and not artifact.get("optional") and not has_location(artifact):
            msg = f"{path} inputs.artifacts.{artifact['name']} was not supplied"
            raise ManifestError(msg)


def _task_shapes(tasks: list[Json], place: str) -> None:
    names: set[str] = set()
    for task in tasks:
        name = task.get("name") or ""
        if name in names:
            msg = f"{place} sorting failed: duplicated nodeName {name}"
            raise ManifestError(msg)
        _step_name(task, f"{place}.tasks", names)
    uses_depends = any(task.get("depends") for task in tasks)
    uses_dependencies = any(task.get("dependencies") for task in tasks)
    if uses_depends and uses_dependencies:
        msg = f"{place} cannot use both 'depends' and 'dependencies' in the same DAG template"
        raise ManifestError(msg)
    for task in tasks:
        if uses_depends and task.get("continueOn"):
            msg = f"{place} cannot use 'continueOn' when using 'depends'. Instead use 'dep-task.Failed'/'dep-task.Errored'"
            raise ManifestError(msg)
        if (uses_depends or uses_dependencies) and task["name"][0].isdigit():
            msg = f"{place}.tasks.{task['name']} name cannot begin with a digit when using either 'depends' or 'dependencies'"
            raise ManifestError(msg)


def _sorted(graph: Dependencies, place: str) -> None:
    for name, task in graph.tasks.items():
        for dependency, result in [
            *terms(task.get("depends") or ""),
            *((other, "") for other in task.get("dependencies") or []),
        ]:
            if dependency not in graph.tasks:
                msg = f"{place} sorting failed: invalid dependency {dependency} of task {name}"
                raise ManifestError(msg)
            if result and result not in RESULTS:
                msg = f"{place}.tasks.{name} task result '{result}' for task '{dependency}' is invalid"
                raise ManifestError(msg)
            if result in ITEM_RESULTS and not _is_loop(graph.tasks[dependency]):
                msg = (
                    f"{place}.tasks.{dependency} dependency '{dependency}' uses an items-based condition such as "
                    ".AnySucceeded or .AllFailed but does not contain any items"
                )
                raise ManifestError(msg)
    _refuse_cycle(graph, place)


def _refuse_cycle(graph: Dependencies, place: str) -> None:
    waiting = {name: set(graph.of(name)) for name in graph.tasks}
    followers: dict[str, list[str]] = {}
    for name, needs in waiting.items():
        for need in needs:
            followers.setdefault(need, []).append(name)
    free = [name for name, needs in waiting.items() if not needs]
    while free:
        name = free.pop()
        del waiting[name]
        for follower in followers.get(name, ()):
            waiting[follower].discard(name)
            if not waiting[follower]:
                free.append(follower)
    if waiting:
        msg = f"{place} sorting failed: graph with cycle: {', '.join(sorted(waiting))}"
        raise ManifestError(msg)
