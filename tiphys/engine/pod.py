"""From a filled-in template to what the launcher needs: argv, environment, files, volumes; and the outputs back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiphys.engine import artifacts
from tiphys.engine.actions import StartPod
from tiphys.engine.artifacts import ArtifactStore
from tiphys.engine.environment import declared, environment, expand_references
from tiphys.engine.errors import StepError, TemplateError
from tiphys.engine.images import Image, ImageTable
from tiphys.engine.nodes import ERROR, FAILED, SUCCEEDED
from tiphys.engine.objects import ObjectStore
from tiphys.engine.unpack import NORMAL, Limits, unpack
from tiphys.engine.volumes import volumes_of

Json = dict[str, Any]
SCRIPT_PATH = "/argo/staging/script"
RESULT_LIMIT = 256 * 1024
PARAMETER_LIMIT = 1024 * 1024  # bytes; a cluster's objects hold no more either


@dataclass(frozen=True)
class Place:
    """Where a step runs: its attempt folder, the folders that stay visible, whether it gets a private root."""

    attempt: Path
    keep: tuple[str, ...]
    private: bool
    limits: Limits = NORMAL

    @property
    def home(self) -> str:
        """The step's HOME: its own /tmp where it has one; else its launcher puts a folder of its own in the place."""
        return "/tmp" if self.private else f"{self.attempt}/home"  # noqa: S108

    @property
    def root(self) -> str:
        """Where a private root is mounted: one empty folder for all, because each step sees its own mounts only."""
        return f"{self.attempt.parent}/root"


def body_of(template: Json) -> Json:
    """The container part of a container or script template."""
    return dict(template.get("container") or template.get("script") or {})


def launcher_spec(
    start: StartPod, place: Place, images: ImageTable, objects: ObjectStore, store: ArtifactStore
) -> Json:
    """All that the launcher must know. Fetches input artifacts. Raises StepError."""
    template = start.template
    body = body_of(template)
    image = images.require(body.get("image") or "", template.get("name") or "")
    _make_folders(template, body, place)
    files = _input_files(template, place, store)
    argv = argv_of(body, image, declared(body, objects))
    if template.get("script") is not None:
        script = _script_file(expand_references(body.get("source") or "", {}), place)
        files += [script] if place.private else []  # its path on the host may be another step's, or not ours to make
        argv.append(SCRIPT_PATH if place.private else script["source"])
    collect = _output_paths(template, place)
    step = {
        "private": place.private,
        "home": place.home,
        "cwd": "/",
        "root": place.root,
        "tmp": "",
        "overlays": f"{place.attempt}/overlays",
        "keep": list(place.keep),
        "volumes": [],
        "declared": [],
        "files": [],
        "folders": [],
        "collect": [],
        "limit": place.limits.size,
    }
    moved = {"files": files, "collect": collect, "folders": _folders_of(collect, place)}
    if image.oci is not None and images.storage is not None:
        from tiphys.engine.oci.pod import InImage  # noqa: PLC0415  # most runs need none

        inside = InImage(template, body, image.oci, images.storage, place)
        env = inside.environment(objects, argo_env(start))
        refuse_nul(argv, env)
        bundle = inside.bundle("main", argv, env, volumes_of(template, body, place.attempt, objects)) | moved
        return {**step, **inside.entry(bundle), "images": [inside.root], "bundles": [bundle]}
    env = environment(body, image, objects, place.home)
    env.update(argo_env(start))
    refuse_nul(argv, env)
    volumes = volumes_of(template, body, place.attempt, objects)
    return {
        **step,
        **moved,
        "argv": argv,
        "env": env,
        "cwd": body.get("workingDir") or image.workdir,
        "tmp": _tmp_folder(volumes),
        "volumes": [volume for volume in volumes if volume["path"] != "/tmp"],  # noqa: S108
        "declared": [entry["path"] for entry in (*files, *collect, *volumes)],
    }


def _folders_of(collect: list[Json], place: Place) -> list[str]:
    """The folders of outputs, which a step may take for granted where it has a root of its own."""
    return sorted({str(Path(entry["path"]).parent) for entry in collect if place.private})


def argv_of(body: Json, image: Image, known: Mapping[str, str]) -> list[str]:
    """The words of a container's command line; `known` is what its manifest puts into its environment."""
    command, args = body.get("command"), body.get("args")
    words = [*(command or image.entrypoint), *(args or (() if command else image.cmd))]
    return [expand_references(word, known) for word in words]


def _make_folders(template: Json, body: Json, place: Place) -> None:
    """The folders that this step needs, and no more: to make and to remove one takes as long as to run `true`."""
    outputs = template.get("outputs") or {}
    wanted = {
        "in": template.get("script") is not None or (template.get("inputs") or {}).get("artifacts"),
        "out": outputs.get("parameters") or outputs.get("artifacts"),
        "volumes": body.get("volumeMounts"),
    }
    for name in [name for name, needed in wanted.items() if needed]:
        place.attempt.mkdir(parents=True, exist_ok=True, mode=0o700)
        (place.attempt / name).mkdir(exist_ok=True)


def argo_env(start: StartPod) -> dict[str, str]:
    """What Argo puts into the environment of every container."""
    name = start.template.get("name") or ""
    return {"ARGO_NODE_ID": start.node_id, "ARGO_POD_NAME": start.pod_name, "ARGO_TEMPLATE_NAME": name}


def refuse_nul(argv: list[str], env: Mapping[str, str]) -> None:
    """What no program can be given is an Error that says so. Raises StepError."""
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            msg = f"environment variable {name!r} holds a NUL character, or its name is empty or holds '=': correct it"
            raise StepError(msg)
    if any("\0" in word for word in argv):
        msg = "command or args hold a NUL character, which no program can be given: encode it, with base64 for instance"
        raise StepError(msg)


def _script_file(source: str, place: Place) -> Json:
    script = place.attempt / "in" / "script"
    script.write_text(source, encoding="utf-8")
    script.chmod(0o755)
    return {"source": str(script), "path": SCRIPT_PATH, "mode": 0o755}


def _input_files(template: Json, place: Place, store: ArtifactStore) -> list[Json]:
    files = []
    for index, artifact in enumerate((template.get("inputs") or {}).get("artifacts") or []):
        source = _fetch(artifact, place.attempt / "in" / str(index), store, place.limits)
        if source is None:
            continue
        entry: Json = {"source": str(source), "path": artifact["path"]}
        if artifact.get("mode") is not None:
            entry |= {"mode": artifact["mode"], "recursive": bool(artifact.get("recurseMode"))}
        files.append(entry)
    return files


def _fetch(artifact: Json, target: Path, store: ArtifactStore, limits: Limits) -> Path | None:
    if "raw" in artifact:
        # On a cluster the template reaches the pod in an environment variable, where Kubernetes turns $$ into $.
        target.write_text(expand_references(artifact["raw"].get("data") or "", {}), encoding="utf-8")
        return target
    stored = target.with_name(f"{target.name}.stored")
    problem = _fetch_stored(artifact, stored, store, limits)
    if problem:
        if artifact.get("optional"):
            return None
        raise StepError(problem)
    unpack(stored, artifact, target, limits)
    return target


def _fetch_stored(artifact: Json, stored: Path, store: ArtifactStore, limits: Limits) -> str:
    """Fetch the bytes; what to say if there are none, unless the artifact is optional. Raises TemplateError."""
    failed = f"artifact {artifact['name']} failed to load"
    if "s3" in artifact:
        key = artifact["s3"].get("key") or ""
        return "" if store.get(key, stored) else f"{failed}: The specified key does not exist: {key}"
    if "http" not in artifact:
        return f"required artifact '{artifact['name']}' not supplied"
    from tiphys.engine import http_artifacts  # noqa: PLC0415  # the library under it takes longer than most steps

    try:
        http_artifacts.fetch(artifact["http"], stored, limits.size)
    except http_artifacts.NotThereError as problem:
        return f"{failed}: {problem}"
    except TemplateError as problem:
        msg = f"{failed}: {problem}"
        raise StepError(msg) from None
    return ""


def _output_paths(template: Json, place: Place) -> list[Json]:
    outputs = template.get("outputs") or {}
    paths = [(entry.get("valueFrom") or {}).get("path") for entry in outputs.get("parameters") or []]
    found = [
        {"path": path, "target": str(place.attempt / "out" / f"p{index}")} for index, path in enumerate(paths) if path
    ]
    for index, artifact in enumerate(outputs.get("artifacts") or []):
        if artifact.get("path"):
            found.append({"path": artifact["path"].rstrip("/"), "target": str(place.attempt / "out" / f"a{index}")})
    return found


def _tmp_folder(volumes: list[Json]) -> str:
    """The volume at /tmp; without one, a launcher's own folder is there."""
    return next((volume["source"] for volume in volumes if volume["path"] == "/tmp"), "")  # noqa: S108


@dataclass(frozen=True)
class Ending:
    """How a step ended: phase, message and outputs as the core wants them."""

    phase: str
    message: str
    outputs: Json
    memoization: Json | None = None
    """Set where nothing ran: the result was an earlier step's."""


def ending(  # noqa: PLR0913, PLR0917
    start: StartPod, report: Json, stdout: bytes | None, place: Place, store: ArtifactStore, prefix: str
) -> Ending:
    """Take the outputs of a step that has ended with the launcher's `report`."""
    if "exit" not in report:
        return Ending(ERROR, str(report.get("error") or "the step's launcher was killed"), {})
    code = int(report["exit"])
    outputs, problems = take_outputs(start, report, stdout, place, store, prefix)
    outputs = {"exitCode": str(code), **outputs}
    if code != 0:
        tail = f": {report['message']}" if report.get("message") else ""
        reason = "OOMKilled" if report.get("oom") else "Error"
        return Ending(FAILED, f"main: {reason} (exit code {code}){tail}", outputs)
    if problems:
        return Ending(ERROR, f"wait: Error (exit code 64): {'; '.join(problems)}", outputs)
    return Ending(SUCCEEDED, "", outputs)


def take_outputs(  # noqa: PLR0913, PLR0917
    start: StartPod, report: Json, stdout: bytes | None, place: Place, store: ArtifactStore, prefix: str
) -> tuple[Json, list[str]]:
    """The outputs that a step left behind, and what is wrong with them."""
    outputs: Json = {} if stdout is None else {"result": _result(stdout)}
    problems = _take_parameters(start.template, place, outputs)
    problems += _take_artifacts(start.template, place, store, prefix, outputs)
    if "error" in report:
        problems.append(str(report["error"]))
    return outputs, problems


def _result(stdout: bytes) -> str:
    return stdout[-RESULT_LIMIT:].decode("utf-8", "replace").removesuffix("\n")


def _take_parameters(template: Json, place: Place, outputs: Json) -> list[str]:
    declared = (template.get("outputs") or {}).get("parameters") or []
    problems, taken = [], []
    for index, entry in enumerate(declared):
        source = entry.get("valueFrom") or {}
        kept = {key: value for key, value in entry.items() if key != "valueFrom"}
        if source.get("path"):
            try:
                value = _parameter_value(place.attempt / "out" / f"p{index}", source)
            except StepError as problem:
                problems.append(str(problem))
                kept["valueFrom"] = source
                taken.append(kept)
                continue
            if value is None:
                problems.append(f"open /var/run/argo/outputs/parameters{source['path']}: no such file or directory")
                kept["valueFrom"] = source
            else:
                kept["value"] = value
        taken.append(kept)
    if taken:
        outputs["parameters"] = taken
    return problems


def _parameter_value(path: Path, source: Json) -> str | None:
    if path.is_file():
        if (size := path.stat().st_size) > PARAMETER_LIMIT:
            msg = (
                f"{source['path']} has {size:,} bytes, an output parameter {PARAMETER_LIMIT:,} at most: use an artifact"
            )
            raise StepError(msg)
        return path.read_bytes().decode("utf-8", "replace").removesuffix("\n")
    default = source.get("default")
    return None if default is None else str(default)


def _take_artifacts(template: Json, place: Place, store: ArtifactStore, prefix: str, outputs: Json) -> list[str]:
    problems, taken = [], []
    for index, artifact in enumerate((template.get("outputs") or {}).get("artifacts") or []):
        path = place.attempt / "out" / f"a{index}"
        if not path.exists():
            if not artifact.get("optional"):
                suffix = {"tar": ".tgz", "zip": ".zip"}.get(artifacts.archive_kind(artifact), "")
                name = artifact.get("path", "").rstrip("/")
                problems.append(f"open /var/run/argo/outputs/artifacts{name}{suffix}: no such file or directory; ")
            continue
        try:
            taken.append(_store(artifact, path, place, store, prefix))
        except (OSError, TemplateError) as error:
            problems.append(f"artifact {artifact['name']} can't be stored: {error}")
    if taken:
        outputs["artifacts"] = taken
    return problems


def _store(artifact: Json, path: Path, place: Place, store: ArtifactStore, prefix: str) -> Json:
    kind = artifacts.archive_kind(artifact)
    key = (artifact.get("s3") or {}).get("key") or artifacts.default_key(prefix, artifact)
    inner = Path(artifact["path"].rstrip("/")).name
    packed = artifacts.pack(path, kind, place.attempt, inner)
    store.put(packed, key)
    kept: Json = {
        name: artifact[name]
        for name in ("name", "path", "globalName", "archive", "optional", "artifactGC")
        if name in artifact
    }
    return {**kept, "s3": {"key": key}}
