"""Makes of a capsule what the executor is to start: values that have changed, inputs from where they are now, a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiphys.engine.actions import StartPod
from tiphys.engine.artifacts import ArtifactStore, FolderStore
from tiphys.engine.errors import EngineError, TemplateError
from tiphys.engine.images import ImageTable
from tiphys.engine.inputs import substitute
from tiphys.engine.objects import ObjectStore
from tiphys.engine.replay.capsule import Capsule, CapsuleError
from tiphys.engine.replay.redaction import Redactor, named_secrets, restore
from tiphys.engine.replay.references import references
from tiphys.engine.substitute import fill

Json = dict[str, Any]
_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_INSIDE = Path(__file__).with_name("inside.py")
_POST_MORTEM = Path(__file__).with_name("post_mortem.py")
_WITH_SCRIPT = 'echo "the script: $0"; exec /bin/sh -i'
POST_MORTEM, DEBUGGER, SHELL = "debug", "debugger", "shell"


@dataclass(frozen=True)
class Changes:
    """What is to be other than it was: parameters, variables, input artifacts (files or folders by name)."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    stored: Mapping[str, Path] = field(default_factory=dict)
    """Inputs that were fetched from elsewhere, in the form in which they were stored."""


class Recorded(ObjectStore):
    """Secrets as they are here now, ConfigMaps as they were."""

    def __init__(self, folder: Path, config_maps: Mapping[str, Mapping[str, str]]) -> None:
        """`folder` is the state folder whose Secrets count."""
        super().__init__(folder)
        self._then = config_maps

    def data(self, kind: str, name: str) -> dict[str, str] | None:
        """The keys of an object as plain texts."""
        if kind == "ConfigMap" and name in self._then:
            return dict(self._then[name])
        return super().data(kind, name)


class Apart:
    """Takes inputs from the capsule, from given files and from the engine's store; what it is given goes to a folder."""

    def __init__(
        self, store: ArtifactStore, folder: Path, blobs: Mapping[str, bytes], given: Mapping[str, Path]
    ) -> None:
        """`blobs` and `given` are by key."""
        self._store = store
        self._own = FolderStore(folder)
        self._blobs = blobs
        self._given = given

    @property
    def where(self) -> str:
        """Where outputs go."""
        return self._own.where

    def put(self, source: Path, key: str) -> None:
        """Keep an output where nothing of the run is."""
        self._own.put(source, key)

    def get(self, key: str, target: Path) -> bool:
        """Fetch an input."""
        if key in self._blobs:
            target.write_bytes(self._blobs[key])
            return True
        if key in self._given:
            source = self._given[key]
            return FolderStore(source.parent).get(source.name, target)
        return self._store.get(key, target)

    def path(self, key: str) -> Path | None:
        """Where an input already lies on this machine."""
        if key in self._blobs:
            return None
        return self._given.get(key) or self._store.path(key)

    def list(self, prefix: str) -> list[str]:
        """The keys below a prefix, as the run's own steps see them."""
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        """Take away what was put here."""
        self._own.delete(key)


@dataclass(frozen=True)
class Prepared:
    """What to start, and what it is given: blobs and files by key, objects.

    `missing` names values that nobody has, `secrets` those Secrets whose values the step gets;
    `shown` is its template without those.
    """

    start: StartPod
    objects: ObjectStore
    blobs: dict[str, bytes]
    given: dict[str, Path]
    missing: list[str]
    secrets: list[str]
    shown: Json


def prepare(capsule: Capsule, changes: Changes, state: Path) -> Prepared:
    """What to start for a capsule. Raises EngineError for a change that is none of the step's own."""
    objects = Recorded(state, capsule.config_maps)
    missing: set[str] = set()
    made = _with_parameters(capsule, changes.parameters)
    secrets = named_secrets([made, list(capsule.config_maps.values())]) | set(references(made).secrets)
    template = restore(made, objects, missing)
    template.pop("archiveLocation", None)
    for body in mains(template):
        body["env"] = _with_environment(body.get("env") or [], changes.environment)
    blobs, given = _place_inputs(template, capsule, changes)
    config_maps = {name: restore(data, objects, missing) for name, data in capsule.config_maps.items()}
    missing = {each for each in missing if each.removeprefix("withheld ") not in changes.environment}
    start = StartPod(capsule.node, capsule.node_name, template, capsule.pod, capsule.keep_result)
    return Prepared(
        start,
        Recorded(state, config_maps),
        blobs,
        given,
        sorted(missing),
        sorted(secrets),
        Redactor(objects).tree(made),
    )


def mains(template: Json) -> list[Json]:
    """The containers of a template that do its work."""
    group = template.get("containerSet") or {}
    return [template[kind] for kind in ("container", "script") if template.get(kind)] + (group.get("containers") or [])


def _with_parameters(capsule: Capsule, wanted: Mapping[str, str]) -> Json:
    """A copy of the capsule's template; made anew from its origin where a parameter is another. Raises EngineError."""
    declared = (capsule.template.get("inputs") or {}).get("parameters") or []
    names = [entry["name"] for entry in declared]
    for name in wanted:
        if name not in names:
            msg = f"the step has no input parameter {name!r} (it has: {', '.join(names) or 'none'})"
            raise EngineError(msg)
    copied: Json = _copy(capsule.template)
    return _made_anew(capsule, copied, wanted) if wanted else copied


def _made_anew(capsule: Capsule, then: Json, wanted: Mapping[str, str]) -> Json:
    """The template filled in once more, with other parameters. Raises EngineError."""
    if capsule.origin is None or capsule.variables is None:
        msg = "this capsule does not hold what its parameters are filled into: change the inputs of the run it is from"
        raise EngineError(msg)
    inputs = _copy(then["inputs"])
    for entry in inputs["parameters"]:
        entry["value"] = wanted.get(entry["name"], entry.get("value"))
    raw = {each["name"]: each for each in (capsule.origin.get("inputs") or {}).get("artifacts") or []}
    for each in inputs.get("artifacts") or []:
        if "raw" in each and "raw" in raw.get(each["name"], {}):
            each["raw"] = _copy(raw[each["name"]]["raw"])
    values = {f"inputs.parameters.{entry['name']}": entry["value"] for entry in inputs["parameters"]}
    try:
        made: Json = substitute({**_copy(capsule.origin), "inputs": inputs}, capsule.variables, {})
        made = fill(made, {**capsule.variables, **values})
    except TemplateError as problem:
        msg = f"the step can't be made with these parameters: {problem}"
        raise EngineError(msg) from None
    of_the_run = {name: then[name] for name in ("volumes", "securityContext") if name in then}
    made = _copy({**made, **of_the_run})
    _keep_fields(made, then)
    return made


def _keep_fields(made: Json, then: Json) -> None:
    """What a step asked about its own pod stays what it was."""
    known = [{entry["name"]: entry for entry in body.get("env") or []} for body in mains(then)]
    for body, before in zip(mains(made), known, strict=False):
        body["env"] = [
            before.get(entry["name"], entry) if "fieldRef" in (entry.get("valueFrom") or {}) else entry
            for entry in body.get("env") or []
        ]


def _copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(value) for value in tree] if isinstance(tree, list) else tree


def _with_environment(entries: list[Json], wanted: Mapping[str, str]) -> list[Json]:
    kept = [entry for entry in entries if entry["name"] not in wanted]
    return kept + [{"name": name, "value": value.replace("$", "$$")} for name, value in wanted.items()]


def _place_inputs(template: Json, capsule: Capsule, changes: Changes) -> tuple[dict[str, bytes], dict[str, Path]]:
    """Say of each input artifact where it is now; blobs and files by key."""
    blobs: dict[str, bytes] = {}
    given: dict[str, Path] = {}
    entries = (template.get("inputs") or {}).get("artifacts") or []
    names = [entry["name"] for entry in entries]
    for name in changes.artifacts:
        if name not in names:
            msg = f"the step has no input artifact {name!r} (it has: {', '.join(names) or 'none'})"
            raise EngineError(msg)
    for index, entry in enumerate(entries):
        name, key = entry["name"], f"replay/{index}"
        kept = {each: entry[each] for each in ("name", "path", "mode", "recurseMode", "optional") if each in entry}
        if name in changes.artifacts:
            given[key] = changes.artifacts[name].absolute()
            entries[index] = {**kept, "archive": {"none": {}}, "s3": {"key": key}}
        elif index in capsule.blobs:
            blobs[key] = capsule.blobs[index]
            entries[index] = {**kept, "archive": {"tar": {}}, "s3": {"key": key}}
        elif name in changes.stored:
            given[key] = changes.stored[name].absolute()
            entries[index] = {**kept, "archive": entry.get("archive") or {}, "s3": {"key": key}}
    return blobs, given


# --- a terminal


def with_terminal(start: StartPod, mode: str, images: ImageTable, terminal: str, python: str) -> StartPod:
    """The same step with the terminal `terminal` as its stdin, stdout and stderr. Raises EngineError.

    `mode`: POST_MORTEM and DEBUGGER for programs of Python, SHELL for a shell in the place of the program. `python` is this
    machine's own, which is visible in every private root.
    """
    template = _copy(start.template)
    body = template.get("container") or template.get("script")
    if body is None:
        msg = "only steps of one program (container or script) can be given a terminal: replay it without"
        raise EngineError(msg)
    image = images.require(body.get("image") or "", template.get("name") or "")
    if image.oci is not None:
        msg = "a step in its image can't be given this terminal: replay it as a process, with --containers ''"
        raise EngineError(msg)
    command = list(body.get("command") or image.entrypoint)
    args = list(body.get("args") or (() if body.get("command") else image.cmd))
    if mode == SHELL:
        # A script's path comes last: it is named, and the person decides what to do with it.
        words = ["/bin/sh", "-c", _WITH_SCRIPT] if "script" in template else ["/bin/sh", "-i"]
    else:
        words = _MODES[mode]([*command, *args], is_script="script" in template)
    body["command"], body["args"] = [python, "-I", "-S", str(_INSIDE), terminal, *words], []
    return StartPod(start.node_id, start.node_name, template, start.pod_name, keep_result=False)


def _with_pdb(words: list[str], *, is_script: bool) -> list[str]:
    at = _program_at(words, is_script=is_script)
    return [*words[:at], "-m", "pdb", *words[at:]]


def _with_post_mortem(words: list[str], *, is_script: bool) -> list[str]:
    at = _program_at(words, is_script=is_script)
    return [*words[:at], str(_POST_MORTEM), *words[at:]]


_MODES: dict[str, Callable[..., list[str]]] = {DEBUGGER: _with_pdb, POST_MORTEM: _with_post_mortem}


def _program_at(words: list[str], *, is_script: bool) -> int:
    """Where in a command line of Python its program begins. Raises CapsuleError for what is no Python."""
    if not words or not _PYTHON.fullmatch(Path(words[0]).name):
        msg = f"its program is {' '.join(words[:3]) or 'unknown'!r}, no Python: --shell gives a shell in its place"
        raise CapsuleError(msg)
    for index, word in enumerate(words[1:], 1):
        if word == "-c":
            msg = "its program stands in `python -c`, which a debugger can't follow: --shell gives a shell in its place"
            raise CapsuleError(msg)
        if word == "-m" or not word.startswith("-"):
            return index
    if is_script:
        return len(words)
    msg = "its command line names no program of Python: --shell gives a shell in its place"
    raise CapsuleError(msg)
