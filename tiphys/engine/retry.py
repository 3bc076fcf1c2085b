"""What becomes of a Retry node when an attempt has ended: done, wait, or one more."""

from __future__ import annotations

from typing import Any

from tiphys.engine.durations import seconds, words
from tiphys.engine.errors import TemplateError
from tiphys.engine.expressions import evaluate_bool, expand
from tiphys.engine.gotext import go_int, go_value
from tiphys.engine.nodes import ERROR, FAILED, SUCCEEDED, Node
from tiphys.engine.operation import Operation

Json = dict[str, Any]
POLICIES = ("Always", "OnFailure", "OnError", "OnTransientError")
# What Argo takes for a passing trouble of the network.
_TRANSIENT = (
    "i/o timeout", "connection timed out", "connection reset by peer", "TLS handshake timeout", "unexpected EOF",
    "connection refused", "http: server closed idle connection", "transport is closing", "too many requests",
)  # fmt: skip


def policy(strategy: Json) -> str:
    """The policy of a retryStrategy; with an expression the default is Always."""
    return strategy.get("retryPolicy") or ("Always" if strategy.get("expression") else "OnFailure")


def decide(op: Operation, node: Node, strategy: Json) -> tuple[bool, float]:
    """End `node` if its attempts are over. Otherwise: whether to go on now, and the deadline of the attempts (or 0)."""
    attempts = op.retry_children(node)
    if attempts and attempts[-1].daemoned:
        if not node.daemoned:
            node.daemoned, node.pod_ip = True, attempts[-1].pod_ip
            op.run.cache.setdefault("daemons", set()).add(node.id)
            op.touch(node)
        op.mark(node, attempts[-1].phase)
        return True, 0.0
    if node.daemoned:
        node.daemoned = False
        op.touch(node)
    if node.fulfilled or not attempts or not attempts[-1].fulfilled:
        return True, _max_duration_deadline(strategy, attempts)
    last = attempts[-1]
    if not last.unsuccessful:
        node.outputs = last.outputs
        node.memoization = last.memoization or node.memoization
        op.mark(node, SUCCEEDED, last.message)
        return True, 0.0
    if message := _stopped(op):
        op.mark(node, last.phase, message)
        return True, 0.0
    deadline = _max_duration_deadline(strategy, attempts)
    if strategy.get("backoff") is not None and not _backoff(op, node, strategy, attempts, deadline):
        return False, deadline
    if not node.fulfilled:
        _apply_policy(op, node, strategy, attempts)
    return True, deadline


def _stopped(op: Operation) -> str:
    if op.run.shutdown:
        return f"Stopped with strategy '{op.run.shutdown}'"
    limit = op.run.spec.get("activeDeadlineSeconds")
    if limit is not None and op.now > op.run.started + float(limit):
        return "retry exceeded workflow deadline"
    return ""


def _max_duration_deadline(strategy: Json, attempts: list[Node]) -> float:
    longest = (strategy.get("backoff") or {}).get("maxDuration")
    return attempts[0].started + seconds(longest) if longest and attempts else 0.0


def _backoff(op: Operation, node: Node, strategy: Json, attempts: list[Node], deadline: float) -> bool:
    """False while the pause before the next attempt lasts; may end the node."""
    backoff, last = strategy["backoff"], attempts[-1]
    if deadline and op.now > deadline:
        op.mark(node, last.phase, "Max duration limit exceeded")
        return True
    if not backoff.get("duration"):
        msg = "no base duration specified for retryStrategy"
        raise TemplateError(msg)
    pause = seconds(backoff["duration"])
    factor = _whole(backoff.get("factor") or 0)
    if factor > 0:
        pause = min(pause * float(factor) ** (len(attempts) - 1), 1e9)
    if backoff.get("cap"):
        pause = min(pause, seconds(backoff["cap"]))
    until = last.finished + pause
    if deadline and until > deadline:
        op.mark(node, last.phase, "Backoff would exceed max duration limit")
        return True
    if op.now < until and len(attempts) <= _lenient(strategy.get("limit")):
        op.wake_at(until)
        op.mark(node, node.phase, f"Backoff for {words(pause)}")
        return False
    op.mark(node, node.phase, "")
    return True


def _apply_policy(op: Operation, node: Node, strategy: Json, attempts: list[Node]) -> None:
    last, chosen = attempts[-1], policy(strategy)
    if chosen not in POLICIES:
        msg = f"{chosen} is not a valid RetryPolicy"
        raise TemplateError(msg)
    transient = chosen == "OnTransientError" and any(text in last.message for text in _TRANSIENT)
    on_failed = chosen in ("Always", "OnFailure") or transient
    on_error = chosen in ("Always", "OnError") or transient
    if (last.phase == FAILED and not on_failed) or (last.phase == ERROR and not on_error):
        op.mark(node, last.phase, last.message)
        return
    limit = strategy.get("limit")
    if limit is not None and len(attempts) > _whole(limit):
        op.mark(node, last.phase, "No more retries left")
        return
    if strategy.get("expression"):
        scope = attempt_variables(len(attempts) - 1, last, missing_exit_code="-1")
        if not evaluate_bool(strategy["expression"], expand(scope)):
            op.mark(node, last.phase, "retryStrategy.expression evaluated to false")


def _whole(value: Any) -> int:
    try:
        return go_int(str(value))
    except ValueError:
        msg = f"value '{value}' cannot be resolved to an int"
        raise TemplateError(msg) from None


def _lenient(limit: Any) -> int:
    """The limit, 0 for none and for what is no number: the pause does not count then (IntOrString.IntValue)."""
    try:
        return go_int(str(limit))
    except ValueError:
        return 0


def attempt_variables(number: int, last: Node | None, *, missing_exit_code: str = "0") -> dict[str, str]:
    """`retries` and `lastRetry.*` of attempt `number`, whose forerunner is `last`."""
    duration = last.finished - last.started if last and last.finished else 0
    return {
        "retries": str(number),
        "lastRetry.exitCode": (last.outputs or {}).get("exitCode") or missing_exit_code if last else missing_exit_code,
        "lastRetry.status": last.phase if last else "",
        "lastRetry.duration": go_value(round(duration) if last else 0),
        "lastRetry.message": last.message if last else "",
    }
