"""sprig's functions of semantic versions."""

from __future__ import annotations

import re
from typing import ClassVar

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.values import Function

_PART = r"[0-9]+|x|X|\*"
_TAIL = r"(?:-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?(?:\+([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?"
_VERSION = re.compile(rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?{_TAIL}")
_CONSTRAINT = re.compile(
    rf"\s*(!=|>=|=>|<=|=<|~>|[=><~^])?\s*(v?(?:({_PART})(?:\.({_PART}))?(?:\.({_PART}))?{_TAIL}))\s*"
)
_RANGE = re.compile(rf"\s*(v?(?:{_PART})[^\s,|]*)\s+-\s+(v?(?:{_PART})[^\s,|]*)\s*")


class Version:
    """A semantic version."""

    go_type: ClassVar[str] = "*semver.Version"

    def __init__(self, text: str) -> None:
        """Raises ExpressionError."""
        found = _VERSION.fullmatch(text)
        if found is None:
            msg = "Invalid Semantic Version"
            raise ExpressionError(msg)
        self.original = text
        self.major, self.minor, self.patch = (int(found[at] or 0) for at in (1, 2, 3))
        self.prerelease, self.metadata = found[4] or "", found[5] or ""
        if any(part.isdigit() and part != "0" and part[0] == "0" for part in self.prerelease.split(".")):
            msg = "Version segment starts with 0"
            raise ExpressionError(msg)

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        text += f"-{self.prerelease}" if self.prerelease else ""
        return text + (f"+{self.metadata}" if self.metadata else "")

    def json(self) -> str:
        """The form in JSON, without quotes."""
        return str(self)

    def key(self) -> tuple[object, ...]:
        """What versions are ordered by."""
        numbered = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease.split(".")]
        return (self.major, self.minor, self.patch, not self.prerelease, numbered if self.prerelease else [])


def _compare(constraint: str, text: str) -> bool:
    parsed = [_all_of(part) for part in constraint.split("||")]
    version = Version(text)
    return any(all(_holds(one, version) for one in group) for group in parsed)


def _all_of(text: str) -> list[re.Match[str]]:
    rewritten = _RANGE.sub(r" >=\1, <=\2 ", text)
    found: list[re.Match[str]] = []
    at = 0
    while at < len(rewritten) or not found:
        part = _CONSTRAINT.match(rewritten, at)
        if part is None:
            msg = f"improper constraint: {text}"
            raise ExpressionError(msg)
        found.append(part)
        at = part.end()
        if rewritten[at : at + 1] == ",":
            at += 1
        elif at < len(rewritten) and not rewritten[at - 1].isspace():
            msg = f"improper constraint: {text}"
            raise ExpressionError(msg)
    return found


def _holds(constraint: re.Match[str], version: Version) -> bool:
    operator, (major, minor, patch), prerelease = constraint[1] or "", constraint.group(3, 4, 5), constraint[6] or ""
    given = [int(part) if part and part.isdigit() else None for part in (major, minor, patch)]
    numbers = [part if part is not None and None not in given[:at] else 0 for at, part in enumerate(given)]
    low = Version(".".join(map(str, numbers)) + (f"-{prerelease}" if prerelease else ""))
    if version.prerelease and not prerelease and operator != "!=":
        return False
    if operator == "!=" and version.prerelease and not prerelease:
        return False
    return _in(operator, given, low, version)


def _in(operator: str, given: list[int | None], low: Version, version: Version) -> bool:  # noqa: PLR0911
    wild = None in given
    upper = _tilde_end(given)
    if operator in ("", "="):
        return _between(low, upper, version) if wild else version.key() == low.key()
    if operator == "!=":
        return not (_between(low, upper, version) if wild else version.key() == low.key())
    if operator == ">":
        return version.key() > low.key() if not wild else upper is not None and _numbers(version) >= upper
    if operator == "<":
        return version.key() < low.key()
    if operator in (">=", "=>"):
        return version.key() >= low.key()
    if operator in ("<=", "=<"):
        return version.key() <= low.key() if not wild else upper is None or _numbers(version) < upper
    if operator == "^":
        return _between(low, _caret_end(given), version)
    return _between(low, _tilde_end([*given[:2], None]), version)


def _numbers(version: Version) -> tuple[int, int, int]:
    return version.major, version.minor, version.patch


def _between(low: Version, end: tuple[int, int, int] | None, version: Version) -> bool:
    return version.key() >= low.key() and (end is None or _numbers(version) < end)


def _tilde_end(given: list[int | None]) -> tuple[int, int, int] | None:
    major, minor = given[0], given[1]
    if major is None:
        return None
    return (major + 1, 0, 0) if minor is None else (major, minor + 1, 0)


def _caret_end(given: list[int | None]) -> tuple[int, int, int] | None:
    major, minor, patch = given
    if major is None:
        return None
    if major > 0 or minor is None:
        return (major + 1, 0, 0)
    if minor > 0 or patch is None:
        return (0, minor + 1, 0)
    return (0, 0, patch + 1)


VERSIONS: dict[str, Function] = {"semver": Function(Version, "s"), "semverCompare": Function(_compare, "ss")}
