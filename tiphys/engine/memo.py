"""Memoization: a step whose key is known gets the outputs of an earlier one and does not run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tiphys.engine.actions import SaveMemo
from tiphys.engine.durations import seconds
from tiphys.engine.errors import TemplateError
from tiphys.engine.nodes import PENDING, SUCCEEDED, Node
from tiphys.engine.operation import Operation

if TYPE_CHECKING:
    from tiphys.engine.execute import Call

Json = dict[str, Any]
_KEY = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")


def look_up(op: Operation, name: str, node: Node | None, call: Call, kind: str, processed: Json) -> Node:  # noqa: PLR0913, PLR0917
    """The node called `name`, Succeeded if its key is known. Raises TemplateError for a bad key or maxAge."""
    spec = processed["memoize"]
    key, cache = spec.get("key") or "", ((spec.get("cache") or {}).get("configMap") or {}).get("name") or ""
    if not _KEY.fullmatch(key):
        msg = f"invalid cache key: {key}"
        raise TemplateError(msg)
    entry = op.run.memo.get(cache, {}).get(key)
    if spec.get("maxAge"):
        oldest = op.now - _max_age(str(spec["maxAge"]))
        entry = entry if entry and entry["created"] >= oldest else None
    if node is None:
        node = op.executable(name, kind, processed, call.holder, call.boundary, PENDING, call.flags)
    node.memoization = {"hit": entry is not None, "key": key, "cacheName": cache}
    op.touch(node)
    if entry:
        node.outputs = entry["outputs"]
        op.mark(node, SUCCEEDED)
    return node


def _max_age(text: str) -> float:
    """A duration as Go reads it: every number has a unit, and days are none. Raises TemplateError, also without an entry."""
    if re.fullmatch(r"[-+]?\d+", text.strip()) and text.strip().strip("+-") != "0":
        msg = f'invalid maxAge: time: missing unit in duration "{text}"'
        raise TemplateError(msg)
    try:
        if "d" in text:
            raise TemplateError(text)  # noqa: TRY301
        return seconds(text)
    except TemplateError:
        msg = f'invalid maxAge: time: invalid duration "{text}"'
        raise TemplateError(msg) from None


def save(op: Operation, node: Node) -> None:
    """Keep the outputs of a memoized node that has Succeeded."""
    status = node.memoization
    if not status or status["hit"] or status.get("saved") or node.phase != SUCCEEDED:
        return
    entry = {"outputs": node.outputs, "created": op.now, "node": node.id}
    op.run.memo.setdefault(status["cacheName"], {})[status["key"]] = entry
    node.memoization = {**status, "saved": True}
    op.touch(node)
    op.actions.append(SaveMemo(status["cacheName"], status["key"], entry))
