"""Lists and watches of runs: a damaged run hides no other, a tombstone goes only to who asked for it, and a watch ends in time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.server.asking import Answer, ask, damage, submitted
from tiphys.engine import load_text
from tiphys.engine.control import delete
from tiphys.engine.server.app import application

pytestmark = pytest.mark.unit
RUNS, WATCH = "/api/v1/workflows/default", "/api/v1/workflow-events/default"
SOON = "listOptions.timeoutSeconds=1"


def test_a_damaged_run_hides_no_other(tmp_path: Path) -> None:
    """The list and a watch leave it out; asked for by its name, its answer says what is wrong."""
    app = application(submitted(tmp_path, ("first", "bad", "last")), {"t": "admin"})
    damage(tmp_path, "bad")

    listed = asyncio.run(ask(app, RUNS))
    watched = asyncio.run(ask(app, WATCH, SOON))
    named = asyncio.run(ask(app, f"{RUNS}/bad"))

    assert (listed.status, {each["metadata"]["name"] for each in listed.json()["items"]}) == (200, {"first", "last"})
    assert sorted(watched.events()) == [("ADDED", "first"), ("ADDED", "last")]
    assert named.status == 500
    assert "run 'bad'" in named.json()["message"]


def test_only_who_asked_for_a_run_hears_that_it_is_gone(tmp_path: Path) -> None:
    """By name and uid; nobody knows any more which labels it had, so that a watch of labels tells of those it has told of."""
    engine = submitted(tmp_path, ("kept", "mine", "other"))
    since, known = engine.journal.version(), engine.journal.summary("mine")
    assert known is not None
    for name in ("mine", "other"):
        delete(engine, name)
    told = {
        "": ["mine", "other"],
        f"&listOptions.fieldSelector=metadata.uid={known.uid}": ["mine"],
        f"&listOptions.fieldSelector=metadata.uid!={known.uid}": ["other"],
        "&listOptions.fieldSelector=metadata.name!=other": ["mine"],
        "&listOptions.fieldSelector=metadata.name=kept": [],
        "&listOptions.fieldSelector=metadata.name=min&nameFilter=Prefix": ["mine"],
        "&listOptions.labelSelector=team%3Dblue": [],
    }
    app, query = application(engine, {"t": "admin"}), f"listOptions.resourceVersion={since}&{SOON}"

    async def watched() -> list[Answer]:
        return await asyncio.gather(*(ask(app, WATCH, query + selector) for selector in told))

    found = dict(zip(told, asyncio.run(watched()), strict=True))
    assert {selector: answer.events() for selector, answer in found.items()} == {
        selector: [("DELETED", name) for name in names] for selector, names in told.items()
    }


@pytest.mark.parametrize("events", [False, True])
def test_a_watch_ends_in_time_also_after_an_event(tmp_path: Path, events: bool) -> None:  # noqa: FBT001
    """`timeoutSeconds` counts from the request on, whatever was told meanwhile and in whichever framing."""
    engine = submitted(tmp_path, ("first",))
    app = application(engine, {"t": "admin"})

    async def watched() -> Answer:
        answer = Answer()
        asked = asyncio.ensure_future(ask(app, WATCH, SOON, events=events, answer=answer))
        while not answer.events() if answer.begun.is_set() else True:
            await asyncio.wait({asked}, timeout=0.01)
        engine.submit(
            load_text(
                "kind: Workflow\nmetadata: {name: second}\nspec: {entrypoint: main, templates: [{name: main, suspend: {}}]}"
            )
        )
        async with asyncio.timeout(20):
            return await asked

    assert asyncio.run(watched()).events() == [("ADDED", "first"), ("ADDED", "second")]
