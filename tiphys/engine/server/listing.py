"""Which runs a list or a watch is about: namespace, labels, fields, names and times, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tiphys.engine.journal import Change, Summary
from tiphys.engine.server.query import Query, parse_moment
from tiphys.engine.server.refusals import invalid
from tiphys.engine.server.rendering import labels_of
from tiphys.engine.server.selectors import Requirement, all_hold, parse_labels

_FIELDS = ("metadata.namespace", "metadata.name", "metadata.uid", "spec.startedAt")
_FILTERS = ("", "Exact", "Contains", "Prefix", "NotEquals")


@dataclass(frozen=True)
class Choice:
    """What runs must be like."""

    namespace: str = ""
    fields: tuple[tuple[str, str, str], ...] = ()
    """Path, operator and value of each clause."""
    labels: list[Requirement] = field(default_factory=list)
    name_filter: str = ""
    created_after: float | None = None
    finished_before: float | None = None
    remaining: bool = False
    """Whether the list says how many more there are."""

    def matches(self, summary: Summary) -> bool:
        """Whether a run is meant."""
        return (
            (not self.namespace or summary.namespace == self.namespace)
            and all(self._holds(clause, summary) for clause in self.fields)
            and (self.created_after is None or summary.created > self.created_after)
            and (self.finished_before is None or 0 < summary.finished < self.finished_before)
            and (not self.labels or all_hold(self.labels, labels_of(summary)))
        )

    def matched(self, gone: Change) -> bool:
        """Whether a run that is gone was meant; never by its labels or times, which nobody knows any more."""
        timed = any(path == "spec.startedAt" for path, _, _ in self.fields)
        return (
            not (self.labels or timed or self.created_after is not None or self.finished_before is not None)
            and (not self.namespace or gone.namespace == self.namespace)
            and all(self._identifies(clause, gone) for clause in self.fields)
        )

    def _holds(self, clause: tuple[str, str, str], summary: Summary) -> bool:
        path, operator, value = clause
        if path == "spec.startedAt":
            moment = parse_moment(value, path)
            return summary.created > moment if operator == ">" else summary.created < moment
        return self._identifies(clause, summary)

    def _identifies(self, clause: tuple[str, str, str], run: Summary | Change) -> bool:
        path, operator, value = clause
        if path == "metadata.name":
            return self._is_name(run.name, operator, value)
        found = {"metadata.namespace": run.namespace, "metadata.uid": run.uid}[path]
        return (found == value) == (operator != "!=")

    def _is_name(self, name: str, operator: str, value: str) -> bool:
        if self.name_filter == "Contains":
            return value in name
        if self.name_filter == "Prefix":
            return name.startswith(value)
        return (name == value) == (operator != "!=" and self.name_filter != "NotEquals")

    @property
    def name(self) -> str:
        """The one run that is meant, where it is named."""
        named = [value for path, operator, value in self.fields if path == "metadata.name" and operator == "="]
        return named[0] if named and not self.name_filter else ""


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    items: list[Summary]
    following: str
    """What `listOptions.continue` is for the next page; empty for the last."""
    remaining: int


def parse_choice(query: Query, namespace: str) -> Choice:
    """The choice that `listOptions.*`, `nameFilter`, `createdAfter` and `finishedBefore` name. Raises Refusal."""
    name_filter = query.text("nameFilter")
    if name_filter not in _FILTERS:
        raise invalid(f"nameFilter: write one of {', '.join(_FILTERS[1:])}, not {name_filter[:80]!r}")
    clauses, remaining = _clauses(query.text("listOptions.fieldSelector"))
    return Choice(
        namespace, clauses, parse_labels(query.text("listOptions.labelSelector")), name_filter,
        query.moment("createdAfter"), query.moment("finishedBefore"), remaining,
    )  # fmt: skip


def _clauses(selector: str) -> tuple[tuple[tuple[str, str, str], ...], bool]:
    found, remaining = [], False
    for part in filter(None, selector.split(",")):
        if part.startswith("ext.showRemainingItemCount"):
            remaining = part.partition("=")[2] in ("true", "1", "True")
            continue
        path, operator, value = _clause(part)
        if path not in _FIELDS or (operator in "<>") != (path == "spec.startedAt"):
            raise invalid(f"unsupported requirement {part[:200]}: a field selector may name {', '.join(_FIELDS)}")
        if path == "spec.startedAt":
            parse_moment(value, path)
        found.append((path, operator, value))
    return tuple(found), remaining


def _clause(part: str) -> tuple[str, str, str]:
    for operator in ("!=", "==", "=", ">", "<"):
        path, sign, value = part.partition(operator)
        if sign:
            return path.strip(), "=" if operator == "==" else operator, value.strip()
    return part, "", ""


def page(runs: Iterable[Summary], choice: Choice, query: Query) -> Page:
    """The part of the runs that `listOptions.limit` and `.continue` ask for. Raises Refusal."""
    limit, start = query.number("listOptions.limit") or 0, _offset(query)
    found = [summary for summary in runs if choice.matches(summary)]
    items = found[start : start + limit] if limit else found[start:]
    remaining = max(0, len(found) - start - len(items))
    return Page(items, str(start + len(items)) if remaining else "", remaining)


def _offset(query: Query) -> int:
    try:
        return query.number("listOptions.continue") or 0
    except Exception:  # noqa: BLE001  # worded as Argo does
        raise invalid("listOptions.continue must be int and must be >= 0") from None
