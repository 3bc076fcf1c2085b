"""What is done to a run that is there: retry, resubmit, suspend, resume, stop, terminate, set."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from tiphys.engine import control
from tiphys.engine.engine import Engine
from tiphys.engine.journal import Summary
from tiphys.engine.server.bodies import assignments, flag, parse, text
from tiphys.engine.server.call import Call, Json, raw
from tiphys.engine.server.lookup import find_run
from tiphys.engine.server.refusals import Code, Refusal, invalid
from tiphys.engine.server.workflows import shown

Act = Callable[[Engine, str], str | None]
"""Does it to the run of that name; the name of the run that is the answer, if that is another."""
_PHASES = ("", "Succeeded", "Failed", "Error")


async def act(call: Call, found: Callable[[Engine], Summary], does: Act) -> Response:
    """Do something to a run; the answer is the run as it is then."""

    def work(engine: Engine) -> bytes:
        name = found(engine).name
        return shown(engine, does(engine, name) or name, call.desk.rendered)

    return raw(await call.desk.write(work))


def _named(call: Call) -> Callable[[Engine], Summary]:
    return lambda engine: find_run(engine, call.namespace, call.name)


async def retry(call: Call) -> Response:
    """`PUT .../retry`."""
    return await act(call, _named(call), retrying(call.body))


def retrying(body: Json) -> Act:
    """A retry as a body asks for it. Raises Refusal."""
    selector, parameters = text(body, "nodeFieldSelector"), assignments(body, "parameters")
    restart = flag(body, "restartSuccessful")

    def does(engine: Engine, name: str) -> None:
        control.retry(engine, name, parameters, selector if restart else "")

    return does


async def resubmit(call: Call) -> Response:
    """`PUT .../resubmit`: the answer is the new run."""
    return await act(call, _named(call), resubmitting(call.body))


def resubmitting(body: Json) -> Act:
    """A resubmission as a body asks for it. Raises Refusal."""
    memoized, parameters = flag(body, "memoized"), assignments(body, "parameters")
    return lambda engine, name: control.resubmit(engine, name, parameters, memoized=memoized)


async def suspend(call: Call) -> Response:
    """`PUT .../suspend`."""

    def does(engine: Engine, name: str) -> None:
        control.suspend(engine, name)

    return await act(call, _named(call), does)


async def resume(call: Call) -> Response:
    """`PUT .../resume`: all that is suspended, or the steps that a selector names."""
    selector = text(call.body, "nodeFieldSelector")

    def does(engine: Engine, name: str) -> None:
        run = engine.get(name)
        waiting = control.select_suspended(run, selector, {})
        if not selector and not run.done:
            engine.resume_suspended(name)
        for node in waiting if selector else ():
            engine.resume_suspended(name, node.id)

    return await act(call, _named(call), does)


async def stop(call: Call) -> Response:
    """`PUT .../stop`: exit handlers still run; with a selector only suspended steps fail."""
    selector, message = text(call.body, "nodeFieldSelector"), text(call.body, "message")

    def does(engine: Engine, name: str) -> None:
        if not selector:
            _end(engine, name, terminate=False)
            return
        for node in control.failing(engine.get(name), selector):
            engine.ask(name, {"kind": "resume", "node": node.id, "phase": "Failed", "message": message})

    return await act(call, _named(call), does)


async def terminate(call: Call) -> Response:
    """`PUT .../terminate`: at once, without exit handlers."""
    return await act(call, _named(call), lambda engine, name: _end(engine, name, terminate=True))


def _end(engine: Engine, name: str, *, terminate: bool) -> None:
    if not engine.stop(name, terminate=terminate):
        summary = engine.journal.summary(name)
        where = f'workflow: "{name}", namespace: "{summary.namespace if summary else ""}"'
        raise Refusal(Code.FAILED_PRECONDITION, f"cannot shutdown a completed workflow: {where}")


async def set_node(call: Call) -> Response:
    """`PUT .../set`: phase, message or outputs of suspended steps."""
    selector, message, phase = (text(call.body, key) for key in ("nodeFieldSelector", "message", "phase"))
    if phase not in _PHASES:
        raise invalid(f"{phase[:80]} is an invalid phase to set to")
    outputs = _outputs(text(call.body, "outputParameters"))
    if not (phase or message or outputs):
        raise invalid("set what: give phase, message or outputParameters")

    def does(engine: Engine, name: str) -> None:
        nodes = control.failing(engine.get(name), selector)
        if not nodes:
            raise Refusal(
                Code.FAILED_PRECONDITION,
                f"currently, set only targets suspend nodes: no suspend nodes matching nodeFieldSelector: {selector}",
            )
        for node in nodes:
            waits_for = {
                entry["name"] for entry in (node.outputs or {}).get("parameters") or [] if "value" not in entry
            }
            for unknown in sorted(outputs.keys() - waits_for):
                raise Refusal(Code.FAILED_PRECONDITION, f"node is not expecting output parameter '{unknown}'")
        for node in nodes:
            request = {"kind": "resume", "node": node.id, "phase": phase, "message": message, "parameters": outputs}
            engine.ask(name, request)

    return await act(call, _named(call), does)


def _outputs(given: str) -> dict[str, str]:
    found = parse(given.encode("utf-8", "surrogatepass")) if given else {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise invalid("unable to parse output parameter set request: write a JSON object of texts")
    return found
