"""Values that are pasted into programs: whoever chooses the value chooses what the program does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from tiphys.engine.linting.lines import Path

Json = dict[str, Any]
_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_FROM_OUTSIDE = re.compile(
    r"(inputs\.parameters|workflow\.(parameters|outputs|labels|annotations|failures)|outputs\.(parameters|result)|item)"
    r"(?![\w-]*\.path\b)"
)
_RUNS_CODE = {
    **dict.fromkeys(("sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "python", "psql"), "c"),
    **dict.fromkeys(("perl", "ruby", "lua", "mysql", "Rscript"), "eE"),
    **dict.fromkeys(("node", "deno"), "ep"),
    "php": "r",
}
"""By interpreter the short flags after which a program stands."""
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
"""Their flags stand in any order (`-ce`), and more of them may stand between `-c` and the program."""
_LONG = ("--eval", "--print", "--command", "--execute")
_VERSION = re.compile(r"[\d.]+$")
_HERA_RUNNER = "{{inputs.parameters}}"
"""A script's source that is data: Hera's runner reads its inputs from it."""
REMEDY = (
    "give it as an environment variable (env: [{name: X, value: '{{...}}'}]) or a file (an input artifact with `raw`), "
    "and let the program read that"
)


def pasted(template: Json, path: Path) -> Iterator[tuple[Path, int, str]]:
    """Each tag that is pasted into code: the path of the text, the line within it, the tag."""
    script = template.get("script") or {}
    source = script.get("source") or ""
    if source.strip() != _HERA_RUNNER:
        yield from (((*path, "script", "source"), offset, tag) for offset, tag in _tags(source))
    for place, body in bodies_at(template, path):
        yield from _in_arguments(body, place)


def bodies_at(template: Json, path: Path) -> Iterator[tuple[Path, Json]]:
    """Every container of a template, with its path."""
    for kind in ("container", "script"):
        if template.get(kind):
            yield (*path, kind), template[kind]
    for index, body in enumerate((template.get("containerSet") or {}).get("containers") or []):
        yield (*path, "containerSet", "containers", index), body
    for kind in ("sidecars", "initContainers"):
        for index, body in enumerate(template.get(kind) or []):
            yield (*path, kind, index), body


def _in_arguments(body: Json, path: Path) -> Iterator[tuple[Path, int, str]]:
    """Tags in the word that an interpreter takes as its program. What comes after that are plain arguments."""
    words = [((*path, "command", index), str(word)) for index, word in enumerate(body.get("command") or [])]
    words += [((*path, "args", index), str(word)) for index, word in enumerate(body.get("args") or [])]
    flags, more = "", ""
    for index, (_, before) in enumerate(words[:-1]):
        name = _VERSION.sub("", PurePosixPath(before).name)
        flags += _RUNS_CODE.get(name, "")
        more = "[a-zA-Z]*" if name in _SHELLS else more
        if flags and (re.fullmatch(rf"-[a-zA-Z]*[{flags}]{more}", before) or before in _LONG):
            for place, word in words[_program(words, index) if more else index + 1 :][:1]:
                yield from ((place, offset, tag) for offset, tag in _tags(word))
            return


def _program(words: list[tuple[Path, str]], index: int) -> int:
    """Where a shell's program stands, if the flag at `index` says that there is one: after all flags and their `-o NAME`."""
    at = index
    while at < len(words) and re.fullmatch(r"[-+][a-zA-Z]+|--", words[at][1]):
        at += 1 + ("o" in words[at][1])
    return max(at, index + 1)


def _tags(text: str) -> Iterator[tuple[int, str]]:
    for found in _TAG.finditer(text):
        if _FROM_OUTSIDE.search(found[1]) and not _is_path(found[1]):
            yield text.count("\n", 0, found.start()), found[0]


def _is_path(tag: str) -> bool:
    """Whether a tag is the path of an artifact or output, which the manifest itself chooses."""
    return tag.strip().endswith(".path")
