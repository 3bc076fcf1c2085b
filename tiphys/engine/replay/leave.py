"""Leaves a capsule where a step has failed: runs beside the engine's loop, and never changes how the step ended."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.engine.actions import StartPod
from tiphys.engine.artifacts import pack
from tiphys.engine.errors import EngineError
from tiphys.engine.field_refs import bodies
from tiphys.engine.images import ImageTable
from tiphys.engine.nodes import node_id
from tiphys.engine.objects import UNDECODED
from tiphys.engine.replay.capsule import BLOB, LOG, Capsule
from tiphys.engine.replay.redaction import Redactor, secret_by_name
from tiphys.engine.replay.references import environment, plain_values, references

if TYPE_CHECKING:
    from tiphys.engine.executor import Surroundings
    from tiphys.engine.pod import Ending

Json = dict[str, Any]
ATTEMPTS = 3
"""Of a step that is retried the last attempts that keep a capsule."""
MOST = 1000
"""Capsules of one run; the step of one that is missing is made from the journal."""
_BLOBS = 8 << 20  # bytes of all inputs that are kept by content
_TEMPLATE = 4 << 20  # bytes
_VARIABLES = 1 << 20  # bytes
_HASHED = 1 << 30  # bytes of an input up to which its digest is worth the time
_ATTEMPT = re.compile(r"(.*)\((\d+)\)", re.DOTALL)


def folder(state: Path, run: str) -> Path:
    """Where the capsules of a run are."""
    return state / "runs" / run / "capsules"


def leave(around: Surroundings, run: str, start: StartPod, attempt: int, ended: Ending, place: Path) -> None:  # noqa: PLR0913, PLR0917
    """Write the capsule of a step that has ended so; `place` is the folder of its attempt, with its inputs."""
    try:
        _leave(around, run, start, attempt, ended, place)
    except Exception:  # noqa: BLE001  # the step has ended as it has; its replay is made from the journal then
        return


def _leave(around: Surroundings, run: str, start: StartPod, attempt: int, ended: Ending, place: Path) -> None:  # noqa: PLR0913, PLR0917
    target = folder(around.state, run) / f"{start.node_id}.tgz"
    if target.parent.exists() and sum(1 for _ in os.scandir(target.parent)) >= MOST and not target.exists():
        return
    template = start.template
    if len(json.dumps(template)) > _TEMPLATE:
        return
    origin, variables = start.origin, dict(start.variables or {})
    kept = origin is not None and len(json.dumps([origin, variables])) <= _VARIABLES
    hidden = {**_by_name(variables), **secret_by_name(plain_values(template))}
    redactor = Redactor(around.objects, hidden)
    named = references(template)
    capsule = Capsule(
        run=run, node=start.node_id, node_name=start.node_name, pod=start.pod_name, start=attempt,
        template=redactor.tree(template), keep_result=start.keep_result,
        origin=redactor.tree(origin) if kept else None, variables=redactor.tree(variables) if kept else None,
        images=_images(template, around.images, around.keep), environment=environment(template, around.objects),
        config_maps={name: redactor.tree(around.objects.data("ConfigMap", name) or {}) for name in named.config_maps},
        secrets=list(named.secrets), made=datetime.now(UTC).isoformat(timespec="seconds"), versions=versions(),
        end=redactor.tree({"phase": ended.phase, "message": ended.message, **_code(ended)}),
        log=_end_of(around.state / "runs" / run / f"{start.node_id}.log", redactor),
        notes=[] if kept else ["its inputs can't be changed with -p: what they are filled into was not kept"],
    )  # fmt: skip
    capsule.notes += [f"the value of {name!r} is withheld: it is called as secrets are" for name in hidden]
    _add_inputs(capsule, template, place, redactor)
    capsule.save(target)
    _forget_older(target.parent, run, start.node_name)


def _by_name(variables: Json) -> dict[str, str]:
    """Parameters of the workflow that are called as secrets are."""
    prefix = "workflow.parameters."
    return secret_by_name({name.removeprefix(prefix): value for name, value in variables.items() if prefix in name})


def _code(ended: Ending) -> Json:
    return {"exitCode": ended.outputs["exitCode"]} if "exitCode" in ended.outputs else {}


@cache
def versions() -> dict[str, str]:
    """What a step's end may depend on beside its image."""
    try:
        own = metadata.version("tiphys")
    except metadata.PackageNotFoundError:
        own = "unknown"
    return {"tiphys": own, "python": platform.python_version(), "system": f"{sys.platform} {platform.release()}"}


# --- images


def _images(template: Json, images: ImageTable, keep: tuple[str, ...]) -> list[Json]:
    """What each container's image is here: a digest, or the code that stands in for it and its revision."""
    found = []
    for name in dict.fromkeys(body.get("image") or "" for body in bodies(template)):
        try:
            image = images.find(name)
        except EngineError:
            image = None
        entry: Json = {"name": name}
        if image is not None and image.oci is not None:
            entry["digest"] = f"sha256:{image.oci.identity.removeprefix('sha256:')}"
        elif image is not None:
            entry["standIn"] = image.pattern
            if any(image.workdir == each or image.workdir.startswith(f"{each}/") for each in keep):
                entry["revision"] = revision(image.workdir)
        found.append(entry)
    return found


def revision(checkout: str) -> str:
    """The git revision of a checkout, with `-dirty` where its files differ; `unknown` outside of git."""
    command = ["git", "-C", checkout, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


# --- inputs


def _add_inputs(capsule: Capsule, template: Json, place: Path, redactor: Redactor) -> None:
    """Each input artifact by reference and digest; small ones by content, unless it holds a secret."""
    room = _BLOBS
    for index, artifact in enumerate((template.get("inputs") or {}).get("artifacts") or []):
        entry: Json = {"name": artifact.get("name"), "path": artifact.get("path")}
        path = place / "in" / str(index)
        if "raw" not in artifact and path.exists():
            files = sorted(_files(path))
            entry["size"] = size = sum(file.lstat().st_size for file in files)
            if size <= _HASHED:
                entry["digest"] = digest(path, files)
            if size <= min(BLOB, room) and not any(redactor.holds(file.read_bytes()) for file in files):
                capsule.blobs[index] = _packed(path, place, artifact)
                room -= len(capsule.blobs[index])
        capsule.inputs.append(entry)


def _files(path: Path) -> Iterator[Path]:
    """All files; links are not followed, and what they say counts by the folder that they are in."""
    if path.is_file() and not path.is_symlink():
        yield path
    elif path.is_dir():
        yield from (each for each in path.rglob("*") if each.is_file() and not each.is_symlink())


def digest(path: Path, files: list[Path]) -> str:
    """The digest of an artifact as the step saw it: names and content of its files."""
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").hexdigest()
        name = file.relative_to(path).as_posix() if file != path else ""
        whole.update(f"{content} {name}\0".encode("utf-8", UNDECODED))
    return f"sha256:{whole.hexdigest()}"


def _packed(path: Path, place: Path, artifact: Json) -> bytes:
    packed = pack(path, "tar", place, Path((artifact.get("path") or "input").rstrip("/")).name)
    try:
        return packed.read_bytes()
    finally:
        packed.unlink()


# --- log


def _end_of(path: Path, redactor: Redactor) -> str:
    """The end of a log. It is redacted before it is cut, so that no part of a secret's value stays at its edge."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG - 4 * redactor.longest))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    redacted = redactor.text(text) if len(text) < LOG else redactor.text(text)[-LOG:]
    return redacted if size <= LOG else redacted.partition("\n")[2]


def _forget_older(capsules: Path, run: str, node_name: str) -> None:
    """Of the attempts of a step only the last ones keep theirs."""
    attempt = _ATTEMPT.fullmatch(node_name)
    if attempt and (number := int(attempt[2]) - ATTEMPTS) >= 0:
        (capsules / f"{node_id(run, f'{attempt[1]}({number})')}.tgz").unlink(missing_ok=True)
