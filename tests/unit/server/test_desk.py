"""Which threads do what: manifests that are only checked delay nobody else."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.asking import RUN, ask
from tiphys.engine import Engine, load_text
from tiphys.engine.images import ImageTable
from tiphys.engine.server.app import application

pytestmark = pytest.mark.unit
TEMPLATE = load_text(RUN.replace("NAME", "template").replace("kind: Workflow", "kind: WorkflowTemplate"))[0]
WORKFLOW = load_text(RUN.replace("NAME", "run"))[0]


class Slow(Engine):
    """Checks nothing before it is let."""

    begun: threading.Semaphore
    go: threading.Event

    @property
    def images(self) -> ImageTable:
        """Every check reads them."""
        self.begun.release()
        assert self.go.wait(30)
        return super().images


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/workflows/default/lint", {"workflow": WORKFLOW}),
        ("/api/v1/workflows/default", {"workflow": WORKFLOW, "createOptions": {"dryRun": ["All"]}}),
        ("/api/v1/workflow-templates/default/lint", {"template": TEMPLATE}),
        ("/api/v1/workflow-templates/default", {"template": TEMPLATE, "createOptions": {"dryRun": ["All"]}}),
    ],
)
def test_manifests_that_are_only_checked_delay_nobody(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    """A list is answered and a request to write too, while more manifests than there are threads are checked."""
    engine = Slow(tmp_path)
    engine.begun, engine.go = threading.Semaphore(0), threading.Event()
    app = application(engine, {"t": "admin"})

    async def listed_meanwhile() -> None:
        checks = [asyncio.ensure_future(ask(app, path, body=body)) for _ in range(4)]
        try:
            assert await asyncio.to_thread(engine.begun.acquire, timeout=20)
            async with asyncio.timeout(10):
                assert (await ask(app, "/api/v1/workflows/default")).status == 200
                unknown = {"resourceKind": "WorkflowTemplate", "resourceName": "nothing"}
                assert (await ask(app, "/api/v1/workflows/default/submit", body=unknown)).status == 404
        finally:
            engine.go.set()
        assert [each.status for each in await asyncio.gather(*checks)] == [200] * 4

    asyncio.run(listed_meanwhile())
