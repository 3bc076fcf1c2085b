"""Finds the run that a request means: by its name in a namespace, by `@latest`, or by its uid."""

from __future__ import annotations

from tiphys.engine.engine import Engine
from tiphys.engine.journal import Summary
from tiphys.engine.server.catalog import Catalog
from tiphys.engine.server.refusals import Code, Refusal, not_found

LATEST = "@latest"
WORKFLOWS = "workflows"


def find_run(engine: Engine, namespace: str, name: str, uid: str = "") -> Summary:
    """The run's line; with `uid` only if it is that one. Raises Refusal for none in that namespace."""
    if name == LATEST:
        return _latest(engine, namespace)
    found = engine.journal.summary(name)
    if found is None or (namespace and found.namespace != namespace) or (uid and found.uid != uid):
        raise not_found(WORKFLOWS, name)
    return found


def find_by_uid(catalog: Catalog, engine: Engine, uid: str, *, finished: bool = False) -> Summary:
    """The run of that uid; with `finished` only if it has ended. Raises Refusal."""
    for summary in catalog.runs(engine.journal)[1]:
        if summary.uid == uid and (summary.finished or not finished):
            return summary
    raise not_found(WORKFLOWS, uid)


def _latest(engine: Engine, namespace: str) -> Summary:
    found = next((each for each in engine.journal.runs() if namespace in ("", each.namespace)), None)
    if found is None:
        raise Refusal(Code.NOT_FOUND, "no workflows found")
    return found
