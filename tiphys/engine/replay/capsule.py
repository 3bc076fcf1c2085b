"""A capsule: a .tgz of `capsule.json`, `log` and `inputs/0`, `inputs/1`, ... that only its owner may read.

A capsule may come from anyone. It is read member by member into memory, by these names and no others, and never unpacked by
the names that it holds; its content is checked as a manifest is before anything is made of it.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tiphys.engine.errors import EngineError, ManifestError
from tiphys.engine.fields import check_fields
from tiphys.engine.merge import template_type
from tiphys.engine.nesting import check_tree
from tiphys.engine.shapes import check_run_name, check_shape
from tiphys.engine.validate_template import check_template

Json = dict[str, Any]
FORM = 1
LARGEST = 32 << 20
"""Bytes of a capsule when it is opened; one that is made has far fewer."""
BLOB = 1 << 20
"""Bytes of an input that is kept by content; a larger one is kept by reference and digest."""
LOG = 64 << 10
"""Bytes of the end of the log that are kept."""
KINDS = ("container", "script", "containerSet", "http", "data")
_INPUT = re.compile(r"inputs/(0|[1-9][0-9]{0,3})")
_ID = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LONGEST_ID = 253
_DEEPEST = 60


class CapsuleError(EngineError):
    """A capsule that can't be read, or that is not taken."""


@dataclass
class Capsule:
    """All that is known of one step that ended. `template` has its tags filled in, `origin` has not.

    `variables` are those that fill `origin` beside its inputs; `secrets` and `withheld` name what is not here.
    """

    run: str
    node: str
    node_name: str
    pod: str
    start: int
    template: Json
    keep_result: bool = True
    origin: Json | None = None
    variables: Json | None = None
    images: list[Json] = field(default_factory=list)
    environment: list[Json] = field(default_factory=list)
    config_maps: dict[str, dict[str, str]] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    inputs: list[Json] = field(default_factory=list)
    end: Json = field(default_factory=dict)
    made: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    log: str = ""
    blobs: dict[int, bytes] = field(default_factory=dict)
    """Stored inputs by their place in the template, each a tar archive."""

    @property
    def exit_code(self) -> str:
        """With which code the program ended; empty if it did not come to that."""
        return str(self.end.get("exitCode") or "")

    @property
    def last_line(self) -> str:
        """The last line of the log that says something."""
        return next((line.strip() for line in reversed(self.log.splitlines()) if line.strip()), "")

    def save(self, path: Path) -> None:
        """Write it; half a capsule never stands under its name."""
        head = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("log", "blobs")}
        members = {"capsule.json": json.dumps({"capsule": FORM, **head}, ensure_ascii=False).encode()}
        members["log"] = self.log.encode("utf-8", "replace")
        members |= {f"inputs/{index}": content for index, content in self.blobs.items()}
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f".{path.name}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
            for name, content in members.items():
                about = tarfile.TarInfo(name)
                about.size, about.mode = len(content), 0o600
                archive.addfile(about, io.BytesIO(content))
        partial.replace(path)


def load(path: Path) -> Capsule:
    """Read a capsule from anywhere. Raises CapsuleError for one that is damaged, hostile, or of another form."""
    try:
        members = _members(path)
    except gzip.BadGzipFile as error:
        msg = f"{path} is no capsule: {error}"
        raise CapsuleError(msg) from None
    except OSError as error:
        msg = f"{path} can't be read: {error.strerror or error}: give a capsule (.tgz), a Workflow as JSON, or a run"
        raise CapsuleError(msg) from None
    except (tarfile.TarError, zlib.error, EOFError, ValueError) as error:
        msg = f"{path} is no capsule: {error}"
        raise CapsuleError(msg) from None
    try:
        head = json.loads(members["capsule.json"])
        check_tree(head, str(path))
    except (KeyError, ValueError, RecursionError, ManifestError) as error:
        msg = f"{path} is no capsule: capsule.json is missing or can't be read ({error})"
        raise CapsuleError(msg) from None
    capsule = _capsule(head, path)
    capsule.log = members.get("log", b"").decode("utf-8", "replace")
    capsule.blobs = {int(name[7:]): content for name, content in members.items() if name.startswith("inputs/")}
    return checked(capsule, str(path))


def _members(path: Path) -> dict[str, bytes]:
    """The members by name. Nothing but plain files of known names is let in, and no more bytes than LARGEST."""
    with path.open("rb") as raw:
        if not os.fstat(raw.fileno()).st_size <= LARGEST:
            msg = f"it has more than {LARGEST:,} bytes"
            raise ValueError(msg)
        with gzip.GzipFile(fileobj=raw) as opened:
            content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        msg = f"it has more than {LARGEST:,} bytes when it is opened"
        raise ValueError(msg)
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for member in archive:
            known = member.name in ("capsule.json", "log") or _INPUT.fullmatch(member.name)
            if not known or not member.isreg() or member.issparse() or member.name in found:
                msg = f"it holds {member.name[:80]!r}, which no capsule has"
                raise ValueError(msg)
            source = archive.extractfile(member)
            found[member.name] = source.read() if source is not None else b""
    return found


def _capsule(head: Any, path: Path) -> Capsule:
    if not isinstance(head, dict) or head.get("capsule") != FORM:
        form = head.get("capsule") if isinstance(head, dict) else None
        msg = (
            f"{path} is a capsule of form {form!r}, this version reads {FORM}: replay it with the version that made it"
        )
        raise CapsuleError(msg)
    known = {each.name for each in fields(Capsule)} - {"log", "blobs"}
    given = {key: value for key, value in head.items() if key in known}
    for name, value in given.items():
        if not _SHAPES[name](value):
            msg = f"{path} is no capsule: {name} has a wrong shape"
            raise CapsuleError(msg)
    try:
        return Capsule(**given)
    except TypeError as error:
        msg = f"{path} is no capsule: {error}"
        raise CapsuleError(msg) from None


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(each, kind) for each in value)


_SHAPES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("run", "node", "node_name", "pod", "made"), lambda value: isinstance(value, str)),
    **dict.fromkeys(("template", "end"), lambda value: isinstance(value, dict)),
    **dict.fromkeys(("images", "environment", "inputs"), _list_of(dict)),
    **dict.fromkeys(("secrets", "notes"), _list_of(str)),
    "start": lambda value: type(value) is int,
    "keep_result": lambda value: isinstance(value, bool),
    "origin": lambda value: value is None or isinstance(value, dict),
    "variables": lambda value: value is None or _texts(value),
    "versions": _texts,
    "config_maps": lambda value: isinstance(value, dict) and all(_texts(data) for data in value.values()),
}


def checked(capsule: Capsule, source: str) -> Capsule:
    """The capsule, if its names are names and its templates are templates. Raises CapsuleError."""
    try:
        check_run_name(capsule.run)
        _check_id(capsule.node)
        for template in (capsule.template, capsule.origin):
            if template is not None:
                _check_template(template)
    except ManifestError as problem:
        msg = f"{source}: this is no step that could be run: {problem}"
        raise CapsuleError(msg) from None
    return capsule


def _check_id(node: str) -> None:
    if len(node) > _LONGEST_ID or not _ID.fullmatch(node) or ".." in node:
        msg = f"{node[:80]!r} is no id of a step"
        raise ManifestError(msg)


def _check_template(template: Json) -> None:
    named = {**template, "name": template.get("name") or "step"}
    document = {"kind": "Workflow", "metadata": {"name": "capsule"}, "spec": {"templates": [named]}}
    check_shape(document)
    check_fields(document)
    if template_type(template) not in KINDS:
        msg = f"a template of the type {template_type(template) or 'none'!r} starts no program"
        raise ManifestError(msg)
    check_template(named, "template")
