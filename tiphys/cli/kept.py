"""Installs what the engine keeps: templates, ConfigMaps, Secrets, schedules and event bindings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tiphys.cli.runs import say

if TYPE_CHECKING:
    from tiphys.engine import Engine

Json = dict[str, Any]


def install(engine: Engine, documents: list[Json], *, dry: bool = False) -> None:
    """Check all of them, then keep them, and say what comes next. Raises ManifestError: nothing is kept then."""
    from tiphys.engine import ManifestError
    from tiphys.engine.lint import KEPT, finder, problems

    kept = [document for document in documents if document["kind"] in KEPT]
    if not kept:
        kinds = ", ".join(sorted({document["kind"] for document in documents})) or "nothing"
        msg = f"there is no Workflow to run (the manifest holds {kinds}): give a file with one"
        raise ManifestError(msg)
    find = finder(kept, engine.objects.get)
    for document in kept:
        named = f"{document['kind']} {(document.get('metadata') or {}).get('name') or ''}".strip()
        for problem in problems(document, find, engine.images):
            raise ManifestError(problem if problem.startswith(document["kind"]) else f"{named}: {problem}")
    if not dry:
        engine.apply(kept)
        engine.wake()
    for document in kept:
        print(f"{document['kind']} {document['metadata']['name']} {'is valid' if dry else 'installed'}")
    if not dry:
        _say_what_follows(engine, kept)


def _say_what_follows(engine: Engine, kept: list[Json]) -> None:
    names = [
        document["metadata"]["name"]
        for document in kept
        if document["kind"] == "WorkflowTemplate" and document["spec"].get("entrypoint")
    ]
    if names:
        say(f"run one with: tiphys run {names[0]}")
    waiting = [document for document in kept if document["kind"] in ("CronWorkflow", "WorkflowEventBinding")]
    for document in waiting:
        if document["kind"] == "CronWorkflow":
            say(when_next(engine.objects.get("CronWorkflow", document["metadata"]["name"]) or document))
    if waiting:
        warn_if_nobody_serves(engine)


def when_next(cron: Json) -> str:
    """One line that says when a CronWorkflow runs next, if it does."""
    from tiphys.engine import ages
    from tiphys.engine.schedules.cron_workflow import name_of, next_moment

    now = time.time()
    if (cron.get("spec") or {}).get("suspend"):
        return f"{name_of(cron)} is suspended: tiphys cron resume {name_of(cron)}"
    if (cron.get("status") or {}).get("phase") == "Stopped":
        return f"{name_of(cron)} has stopped, as its stopStrategy says: tiphys cron delete {name_of(cron)} begins anew"
    moment = next_moment(cron, now)
    if moment is None:
        return f"{name_of(cron)} has no moment in the next five years: look at its schedules"
    return f"{name_of(cron)} runs next at {ages.ahead(moment, now)}"


def warn_if_nobody_serves(engine: Engine) -> None:
    """Say so where no engine would start what time or an event asks for."""
    if not engine.served():
        say("no engine is up to start it: `tiphys up`, or `tiphys serve`")


def as_paused(engine: Engine, document: Json) -> Json:
    """A CronWorkflow that is there stays suspended, or resumed: who takes ours says nothing of that."""
    there = engine.objects.get("CronWorkflow", document["metadata"]["name"])
    if document["kind"] != "CronWorkflow" or there is None or "suspend" not in there["spec"]:
        return document
    return {**document, "spec": {**document["spec"], "suspend": there["spec"]["suspend"]}}
