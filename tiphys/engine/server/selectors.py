"""Kubernetes' label selectors: `a=b, c!=d, e in (f, g), h, !i`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tiphys.engine.server.refusals import invalid

_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET = re.compile(rf"\s*({_KEY})\s+(in|notin)\s*\(([^()]*)\)\s*")
_PLAIN = re.compile(rf"\s*({_KEY})\s*(==|=|!=|>|<)\s*([^,=!<>()\s]*)\s*")
_ABSENT, _PRESENT = re.compile(rf"\s*!\s*({_KEY})\s*"), re.compile(rf"\s*({_KEY})\s*")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_LONGEST = 16_384


@dataclass(frozen=True)
class Requirement:
    """One demand on a label: `operator` is in, notin, exists, absent, > or <."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it. One that is not there meets `notin` and `!=`, as in Kubernetes."""
        value = labels.get(self.key)
        if self.operator in ("exists", "absent"):
            return (value is not None) == (self.operator == "exists")
        if self.operator == "notin":
            return value not in self.values
        if self.operator == "in":
            return value in self.values
        if value is None or not value.lstrip("-").isdecimal():
            return False
        return int(value) > int(self.values[0]) if self.operator == ">" else int(value) < int(self.values[0])


def parse_labels(text: str) -> list[Requirement]:
    """The requirements of a selector. Raises Refusal that shows where it can't be read."""
    if len(text) > _LONGEST:
        raise invalid(f"a label selector of {len(text):,} characters: {_LONGEST:,} is the most")
    found, at = [], 0
    while text[at:].strip():
        requirement, at = _one(text, at)
        found.append(requirement)
        if at < len(text):
            if text[at] != ",":
                raise _unreadable(text, at)
            at += 1
    return found


def all_hold(requirements: list[Requirement], labels: Mapping[str, str]) -> bool:
    """Whether labels meet every requirement."""
    return all(requirement.holds(labels) for requirement in requirements)


def _one(text: str, at: int) -> tuple[Requirement, int]:
    if match := _SET.match(text, at):
        values = tuple(value.strip() for value in match[3].split(","))
        return _checked(Requirement(match[1], match[2], values)), match.end()
    if match := _PLAIN.match(text, at):
        operator = {"=": "in", "==": "in", "!=": "notin"}.get(match[2], match[2])
        return _checked(Requirement(match[1], operator, (match[3],))), match.end()
    if match := _ABSENT.match(text, at):
        return Requirement(match[1], "absent"), match.end()
    if match := _PRESENT.match(text, at):
        return Requirement(match[1], "exists"), match.end()
    raise _unreadable(text, at)


def _checked(requirement: Requirement) -> Requirement:
    for value in requirement.values:
        number = value.lstrip("-").isdecimal() and len(value) < 20  # noqa: PLR2004  # digits of an int64
        if not _VALUE.fullmatch(value) or (requirement.operator in "<>" and not number):
            raise invalid(f"label selector: {value[:80]!r} can't be the value of {requirement.key}")
    return requirement


def _unreadable(text: str, at: int) -> Exception:
    return invalid(
        f"label selector: {text[at : at + 80]!r} can't be read: write a=b, a!=b, a in (b,c), a or !a, with commas"
    )
