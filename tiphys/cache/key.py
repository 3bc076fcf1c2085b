"""The key of a step: every part that decides what comes out of it, named, with a short value or a digest."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cache import digests, surroundings
from tiphys.cache.mode import CONTRACT, EFFECTS, EVIDENCE, annotated
from tiphys.cache.program import Parts, Program, once, require_own_code
from tiphys.cache.references import World
from tiphys.cache.refusal import GoneError, NotCachedError
from tiphys.engine.environment import expand_references

if TYPE_CHECKING:
    from tiphys.engine.artifacts import ArtifactStore
    from tiphys.engine.cache import Asked
    from tiphys.engine.objects import ObjectStore

Json = dict[str, Any]
PER_RUN = ("TIPHYS_RUN", "TIPHYS_NODE", "TIPHYS_ATTEMPT")
"""What a run is called: a step may write it down as provenance, and must not let it decide an output."""
SECRET = "tiphys-cache"  # noqa: S105 - the name of the Secret with the cache's own, reading rights
_NOT_PARTS = frozenset({
    "name", "metadata", "annotations", "inputs", "container", "script", "archiveLocation", "retryStrategy", "timeout",
    "activeDeadlineSeconds", "pendingTimeout", "synchronization", "memoize", "parallelism", "failFast", "executor",
    "serviceAccountName", "automountServiceAccountToken", "nodeSelector", "affinity", "tolerations", "priorityClassName",
})  # fmt: skip
"""Fields of a template that say where, when, or how often it runs; `inputs` have parts of their own."""
_REFUSED = (
    "daemon",
    "sidecars",
    "initContainers",
    "containerSet",
    "http",
    "data",
    "resource",
    "plugin",
    "podSpecPatch",
)
_VOLUMES = ("emptyDir", "configMap", "secret")


@dataclass(frozen=True)
class Evidence:
    """What the manifest says of a step, for a kept result to be proven: see `Contract.evidence`."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    looks_at: Mapping[str, str] = field(default_factory=dict)
    leaves: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    measured: tuple[str, ...] = ()

    @classmethod
    def of(cls, template: Json) -> Evidence:
        """Read the annotation. Raises NotCachedError where it is damaged."""
        text = annotated(template).get(EVIDENCE) or "{}"
        try:
            said = {name.replace("-", "_"): value for name, value in json.loads(text).items()}
            return cls(**{**said, "measured": tuple(said.get("measured", ()))})
        except (ValueError, TypeError, AttributeError):
            message = f"its annotation {EVIDENCE} can't be read: run `tiphys render`"
            raise NotCachedError(message) from None


@dataclass(frozen=True)
class Key:
    """A step's key, and what is needed to check and to keep a result."""

    parts: Parts
    evidence: Evidence
    world: World
    parameters: Mapping[str, str]

    @property
    def text(self) -> str:
        """The key itself."""
        return digests.of_json(self.parts.values)

    @property
    def code(self) -> str:
        """What a quarantine is about: the step's code, or its image."""
        return self.parts.values.get("code") or self.parts.values.get("image", "")


def key_of(asked: Asked, place: surroundings.Place) -> Key:
    """Name every part. Raises NotCachedError, also for an input that is not there."""
    template = asked.start.template
    _require_plain(template)
    body: Json = template.get("container") or template["script"]
    image = asked.images.require(body.get("image") or "", template.get("name") or "")
    evidence, program, parts = Evidence.of(template), Program.of(body, image), Parts()
    parameters = {
        each["name"]: str(each.get("value", "")) for each in (template.get("inputs") or {}).get("parameters") or []
    }
    packages = [_package(parameters.get(name, "")) for name, kind in evidence.inputs.items() if kind == "use-case"]
    config = _config(body, asked.objects)
    if not image.oci:
        names = (*config, *_literals(body, config), *_secret_names(body, asked.objects))
        require_own_code(names, body.get("workingDir") or "", place.project)
    program.describe(parts, place.project, packages, annotated(template).get(CONTRACT, ""), config)
    parts.put("effects", f"{annotated(template)[EFFECTS]} {digests.of(annotated(template).get(EVIDENCE, ''))}")
    _put_template(parts, template, body)
    parts.put("result", "taken" if asked.start.keep_result else "")
    _put_config(parts, template, config, asked.objects)
    if "java" in parts.values:
        parts.put_many("jars", _jars(config.get("TIPHYS_SPARK_CONF", "")))
    for name, value in parameters.items():
        parts.put(f"parameter {name}", value)
    world = World({**config, **_literals(body, config), **(asked.objects.data("Secret", SECRET) or {})})
    try:
        for name, kind in evidence.inputs.items():
            if kind != "use-case":
                parts.put(f"content of {name}", world.content(kind, parameters.get(name, "")))
        for kind, name in evidence.looks_at.items():
            surroundings.look(kind, parameters.get(name, ""), world, place, parts)
    except GoneError as gone:
        message = f"an input is not there: {gone}"
        raise NotCachedError(message) from None
    _put_artifacts(parts, template, asked.store)
    return Key(parts, evidence, world, parameters)


def _package(use_case: str) -> str:
    return use_case if "." in use_case else f"usecases.{use_case}"


def _require_plain(template: Json) -> None:
    odd = [name for name in _REFUSED if template.get(name)]
    odd += [
        f"volume {each.get('name')}"
        for each in template.get("volumes") or []
        if not any(kind in each for kind in _VOLUMES)
    ]
    if odd:
        message = f"it has {', '.join(odd)}: what that does is not known beforehand"
        raise NotCachedError(message)


def _put_template(parts: Parts, template: Json, body: Json) -> None:
    for name, value in template.items():
        if name not in _NOT_PARTS:
            parts.put(f"template {name}", digests.of_json(value))
    for name, value in body.items():
        told = [each for each in value if each["name"] not in PER_RUN] if name == "env" else value
        parts.put(f"container {name}", told if isinstance(told, str) else digests.of_json(told))


def _config(body: Json, objects: ObjectStore) -> dict[str, str]:
    """What the environment takes from ConfigMaps."""
    taken: dict[str, str] = {}
    for source in body.get("envFrom") or []:
        if reference := source.get("configMapRef"):
            data = objects.data("ConfigMap", reference.get("name") or "") or {}
            taken |= {f"{source.get('prefix') or ''}{key}": value for key, value in data.items()}
    for entry in body.get("env") or []:
        reference = (entry.get("valueFrom") or {}).get("configMapKeyRef")
        if reference:
            taken[entry["name"]] = (objects.data("ConfigMap", reference["name"]) or {}).get(reference["key"], "")
    return taken


def _literals(body: Json, taken: Mapping[str, str]) -> dict[str, str]:
    """What the manifest itself puts into the environment."""
    return {
        each["name"]: expand_references(each["value"], taken) for each in body.get("env") or [] if each.get("value")
    }


def _secret_names(body: Json, objects: ObjectStore) -> list[str]:
    """The names, not the values, that the environment takes from Secrets."""
    found = [each["name"] for each in body.get("env") or [] if each.get("valueFrom")]
    for source in body.get("envFrom") or []:
        if reference := source.get("secretRef"):
            data = objects.data("Secret", reference.get("name") or "") or {}
            found += [f"{source.get('prefix') or ''}{key}" for key in data]
    return found


def _put_config(parts: Parts, template: Json, config: Mapping[str, str], objects: ObjectStore) -> None:
    """Every key of a ConfigMap that its environment or its volumes take."""
    for name, value in sorted(config.items()):
        parts.put(f"config {name}", value)
    for volume in template.get("volumes") or []:
        if "configMap" in volume:
            data = objects.data("ConfigMap", volume["configMap"].get("name") or "") or {}
            parts.put_many(f"config of volume {volume.get('name')}", data)


def _jars(conf: str) -> dict[str, str]:
    """The jars that Spark is told to load, by their bytes."""
    lines = [line.split(None, 1) for line in conf.splitlines() if line.startswith("spark.jars")]
    paths = [path for line in lines if len(line) > 1 for path in line[1].split(",")]
    return {path: once(Path(path)) if Path(path).is_file() else "not a file" for path in paths}


def _put_artifacts(parts: Parts, template: Json, store: ArtifactStore) -> None:
    for each in (template.get("inputs") or {}).get("artifacts") or []:
        parts.put(f"artifact {each['name']}", _artifact(each, store))


def _artifact(each: Json, store: ArtifactStore) -> str:
    if "raw" in each:
        return digests.of(each["raw"].get("data") or "")
    if "s3" not in each:
        if each.get("optional") and not any(kind in each for kind in ("http", "git", "gcs", "oss")):
            return "not given"
        message = f"the content of its input artifact {each['name']} can't be known beforehand"
        raise NotCachedError(message)
    return stored(store, each["s3"].get("key") or "") or "not there"


def stored(store: ArtifactStore, key: str) -> str:
    """The digest of what the engine's store has under a key; empty if it has nothing."""
    with tempfile.TemporaryDirectory(prefix="tiphys-cache-") as scratch:
        target = Path(scratch) / "content"
        return digests.of_tree(target) if store.get(key, target) else ""


def named(outputs: Json) -> Iterator[tuple[str, str]]:
    """Output parameters with their values."""
    for each in outputs.get("parameters") or []:
        yield each["name"], str(each.get("value", ""))
