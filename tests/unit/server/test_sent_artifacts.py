"""What is fetched to be sent goes again, whatever becomes of the request; a fetched folder is listed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from starlette.types import Message

from tests.unit.server.asking import Answer, ask, submitted
from tiphys.engine import Engine
from tiphys.engine.artifacts import FolderStore
from tiphys.engine.nodes import Node
from tiphys.engine.server.app import application

pytestmark = pytest.mark.unit
ARTIFACT, PAGE = "/artifacts/default/run/run", "/artifact-files/default/workflows/run/run/outputs"


class Far(FolderStore):
    """Objects that must be fetched, as from a bucket; one of them can't be, half way."""

    def path(self, key: str) -> Path | None:
        """Never on this machine."""
        return None

    def get(self, key: str, target: Path) -> bool:
        """Fetch it."""
        found = super().get(key, target)
        if key == "broken":
            msg = "the connection was lost"
            raise ConnectionError(msg)
        return found


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine with a run whose artifacts lie in a store elsewhere."""
    submitted(tmp_path / "state", ("run",)).journal.close()
    store, made = Far(tmp_path / "far"), tmp_path / "made"
    (made / "inner").mkdir(parents=True)
    (made / "a.txt").write_text("text")
    store.put(made, "folder")
    for key in ("file", "broken"):
        store.put(made / "a.txt", key)
    artifacts = [{"name": key, "s3": {"key": key}} for key in ("file", "folder", "broken")]
    artifacts.append({"name": "raw", "raw": {"data": "\ud800"}})
    node = Node("run", "run", "run", "Pod", "Succeeded", outputs={"artifacts": artifacts})
    database = sqlite3.connect(tmp_path / "state" / "journal.db")
    database.execute("INSERT INTO nodes VALUES ('run', 'run', 0, ?)", (json.dumps(node.to_json()),))
    database.commit()
    database.close()
    return Engine(tmp_path / "state", store=store)


def _left(engine: Engine) -> list[Path]:
    return list((engine.state / "downloads").iterdir())


def test_what_was_fetched_goes_when_it_is_sent(engine: Engine) -> None:
    """A file, a folder as an archive, a file in a folder."""
    app = application(engine, {"t": "admin"})

    answers = [
        asyncio.run(ask(app, path)) for path in (f"{ARTIFACT}/file", f"{ARTIFACT}/folder", f"{PAGE}/folder/a.txt")
    ]

    assert [each.status for each in answers] == [200] * 3
    assert (bytes(answers[0].body), bytes(answers[2].body)) == (b"text", b"text")
    assert _left(engine) == []


@pytest.mark.parametrize("name", ["broken", "raw"])
def test_what_can_not_be_fetched_leaves_nothing(engine: Engine, name: str) -> None:
    """The store that fails half way, and a text that is none."""
    answer = asyncio.run(ask(application(engine, {"t": "admin"}), f"{ARTIFACT}/{name}"))

    assert answer.status >= 500
    assert _left(engine) == []


class _Gone(Answer):
    async def send(self, message: Message) -> None:
        """The client is not there any more."""
        raise OSError


@pytest.mark.parametrize("path", [f"{ARTIFACT}/file", f"{ARTIFACT}/folder", f"{PAGE}/folder/a.txt"])
def test_a_client_that_leaves_before_the_first_byte_leaves_nothing(engine: Engine, path: str) -> None:
    """Nothing of the body was made then."""
    with pytest.raises(BaseException):  # noqa: B017, PT011  # whatever the server does with it
        asyncio.run(ask(application(engine, {"t": "admin"}), path, answer=_Gone()))

    assert _left(engine) == []


def test_a_folder_that_was_fetched_is_listed(engine: Engine) -> None:
    """Its folders with a slash at their end, so that a browser can go into them."""
    answer = asyncio.run(ask(application(engine, {"t": "admin"}), f"{PAGE}/folder/"))

    assert answer.status == 200
    assert b'"./inner/"' in answer.body
    assert b'"./a.txt"' in answer.body
    assert _left(engine) == []
