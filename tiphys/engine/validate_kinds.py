"""Refuses what is wrong with the rarer kinds of templates: container sets, sidecars, init containers, http, data."""

from __future__ import annotations

import re
from typing import Any

from tiphys.engine.durations import seconds
from tiphys.engine.errors import ManifestError, TemplateError
from tiphys.engine.field_refs import check_field_refs
from tiphys.engine.images import ImageTable

Json = dict[str, Any]
KINDS = ("containerSet", "http", "data")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_RESERVED = ("wait", "init", "supervisor")


def check_kind(template: Json, place: str, images: ImageTable) -> None:
    """Check whatever of these a template has. Raises ManifestError."""
    if template.get("containerSet") is not None:
        _container_set(template, place, images)
    _helpers(template, place, images)
    if template.get("http") is not None and not template["http"].get("url"):
        msg = f"{place}.http.url is required"
        raise ManifestError(msg)
    if template.get("data") is not None and not (template["data"].get("source") or {}).get("artifactPaths"):
        msg = f"{place}.data.source.artifactPaths is required: it is the only source that there is"
        raise ManifestError(msg)
    _probe(template, place)
    check_field_refs(template, place)


def _container_set(template: Json, place: str, images: ImageTable) -> None:
    group = template["containerSet"]
    containers = group.get("containers") or []
    where = f"{place}.containerSet.containers"
    if not containers:
        msg = f"{where} must have at least one container"
        raise ManifestError(msg)
    _names(containers, where)
    names = [item["name"] for item in containers]
    needs_main = any(
        (template.get(section) or {}).get(kind) for section in ("inputs", "outputs") for kind in ("artifacts",)
    ) or bool((template.get("outputs") or {}).get("parameters"))
    if needs_main and "main" not in names:
        msg = f'{where} must have a container named "main" for input or output'
        raise ManifestError(msg)
    for item in containers:
        _image(item, f"{where}.{item['name']}", images)
        for dependency in item.get("dependencies") or []:
            if dependency not in names:
                msg = f"{where}.{item['name']} dependency '{dependency}' not defined"
                raise ManifestError(msg)
    _refuse_cycle(containers, where)
    _strategy(group.get("retryStrategy"), f"{place}.containerSet.retryStrategy")


def _refuse_cycle(containers: list[Json], where: str) -> None:
    waiting = {item["name"]: set(item.get("dependencies") or []) for item in containers}
    while waiting:
        free = [name for name, needs in waiting.items() if not needs & waiting.keys()]
        if not free:
            msg = f"{where} dependency cycle: {', '.join(sorted(waiting))}"
            raise ManifestError(msg)
        for name in free:
            del waiting[name]


def _strategy(strategy: Json | None, where: str) -> None:
    if not strategy:
        return
    retries = str(strategy.get("retries") if strategy.get("retries") is not None else "")
    if not retries.isdigit() or int(retries) < 1:
        msg = f"{where}.retries {retries!r}: give how often a container may run, 1 or more (on Argo 0 runs nothing)"
        raise ManifestError(msg)
    if strategy.get("duration"):
        try:
            pause = seconds(strategy["duration"])
        except TemplateError as problem:
            msg = f"{where}.duration: {problem}"
            raise ManifestError(msg) from None
        if pause < 0:
            msg = f"{where}.duration has to be positive, current duration: {strategy['duration']}"
            raise ManifestError(msg)


def _helpers(template: Json, place: str, images: ImageTable) -> None:
    for field in ("sidecars", "initContainers"):
        containers = template.get(field) or []
        if containers and not any(template.get(kind) for kind in ("container", "script", "containerSet")):
            msg = f"{place}.{field}: only container, script and containerSet templates have a pod of their own"
            raise ManifestError(msg)
        _names(containers, f"{place}.{field}")
        for item in containers:
            if item["name"] == "main":
                msg = f"{place}.{field}.main: 'main' is the name of the step's own container: choose another one"
                raise ManifestError(msg)
            _image(item, f"{place}.{field}.{item['name']}", images)


def _names(containers: list[Json], where: str) -> None:
    seen: set[str] = set()
    for index, item in enumerate(containers):
        name = item.get("name") or ""
        if not _NAME.fullmatch(name):
            msg = f"{where}[{index}].name '{name}' is invalid: a container needs a name of a-z, 0-9 and '-'"
            raise ManifestError(msg)
        if name in _RESERVED:
            msg = f'{where}: "{name}" is a reserved Argo container name'
            raise ManifestError(msg)
        if name in seen:
            msg = f"{where}[{index}].name '{name}' is not unique"
            raise ManifestError(msg)
        seen.add(name)


def _image(container: Json, where: str, images: ImageTable) -> None:
    image = container.get("image") or ""
    if not image:
        msg = f"{where}.image is required"
        raise ManifestError(msg)
    if "{{" in image:
        return
    found = images.require(image, where)
    if not (container.get("command") or found.entrypoint or found.cmd):
        msg = f"{where}: image {image} has no command: give `command` or map the image"
        raise ManifestError(msg)


def _probe(template: Json, place: str) -> None:
    """Only a daemon's readiness counts."""
    body = template.get("container") or template.get("script") or {}
    probe = body.get("readinessProbe")
    if template.get("daemon") and probe is not None and not any(probe.get(kind) for kind in _PROBES):
        msg = f"{place}.readinessProbe: give one of {', '.join(_PROBES)}"
        raise ManifestError(msg)


_PROBES = ("httpGet", "tcpSocket", "exec")
