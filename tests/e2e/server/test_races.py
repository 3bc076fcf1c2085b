"""Clients that ask for opposite things at once, and a server that is killed in the middle of a request."""

from __future__ import annotations

import http.client
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.server.conftest import Served, steps

pytestmark = pytest.mark.e2e
RUNS = "/api/v1/workflows/default"


def test_two_clients_that_retry_and_stop_at_once_leave_a_run_that_ends(server: Served) -> None:
    """Whoever comes first: every answer is a clear yes or no, and the run ends."""
    name = server.submit("exit 1")
    server.wait(name)
    for _ in range(10):
        with ThreadPoolExecutor(8) as clients:
            asked = [
                clients.submit(server.ask, "PUT", f"{RUNS}/{name}/{verb}", {})
                for verb in ("retry", "stop", "retry", "stop", "terminate", "retry", "suspend", "resume")
            ]
        answers = [each.result() for each in asked]
        assert {status for status, _, _ in answers} <= {200, 400}, answers
        server.ask("PUT", f"{RUNS}/{name}/resume", {})
        found = server.wait(name)
        assert found["status"]["phase"] in ("Failed", "Error")
        assert "suspend" not in found["spec"] or not found["spec"]["suspend"]


def test_two_clients_that_create_the_same_name_make_one_run(server: Served) -> None:
    """One is told yes, all others that it is there already."""
    for number in range(5):
        with ThreadPoolExecutor(8) as clients:
            body = {"workflow": steps("true", name=f"same-{number}")}
            answers = [clients.submit(server.ask, "POST", RUNS, body) for _ in range(8)]
        assert sorted(each.result()[0] for each in answers) == [200, *[409] * 7]


def test_two_clients_that_change_a_template_do_not_overwrite_each_other(server: Served) -> None:
    """Of those that send the same resourceVersion one wins."""
    path = "/api/v1/workflow-templates/default"
    template = {"metadata": {"name": "contended"}, "spec": steps("true")["spec"]}
    made = server.ask("POST", path, {"template": template})[1]
    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(server.ask, "PUT", f"{path}/contended", {"template": made}) for _ in range(8)]

    assert sorted(each.result()[0] for each in answers) == [200, *[409] * 7]
    assert server.ask("DELETE", f"{path}/contended")[0] == 200


@pytest.mark.long
@pytest.mark.parametrize("whole", [False, True], ids=["api", "all"])
def test_killed_in_any_request_nothing_is_half_done(
    new_server: Callable[[], Served],
    whole: bool,  # noqa: FBT001
) -> None:
    """What was answered with 200 is there; what is there ends; what was asked again after a kill is done once."""
    served, seed = new_server(), random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201  # shown where it fails
    moments = random.Random(seed)
    accepted = _submitting(served, lambda: _kill(served, moments, whole=whole))

    assert accepted
    for name in accepted:
        assert served.wait(name)["status"]["phase"] == "Succeeded"
    for each in served.get(RUNS)["items"]:
        found = served.wait(each["metadata"]["name"])
        assert found["status"]["phase"] == "Succeeded"
        assert len(found["status"]["nodes"]) == 3


def _kill(served: Served, moments: random.Random, *, whole: bool) -> None:
    """Kill the API, or all of it, three times."""
    for _ in range(3):
        time.sleep(moments.uniform(0.05, 0.4))
        if whole:
            served.stop(signal.SIGKILL)
            served.start()
        else:
            os.kill(served.api().pid, signal.SIGKILL)
            served.wait_until_it_answers()


def _submitting(served: Served, meanwhile: Callable[[], None]) -> list[str]:
    """Have four clients submit runs while something happens; the names of those that were answered with 200."""
    accepted: list[str] = []
    stop = threading.Event()

    def submit(worker: int) -> None:
        for number in itertools.count():
            if stop.wait(0.02):
                return
            name = f"w{worker}-{number}"
            try:
                status, _, _ = served.ask("POST", RUNS, {"workflow": steps("true", name=name)})
            except (OSError, http.client.HTTPException, ValueError):
                continue  # no answer: it may be there or not
            if status == 200:
                accepted.append(name)

    workers = [threading.Thread(target=submit, args=(worker,)) for worker in range(4)]
    for each in workers:
        each.start()
    try:
        meanwhile()
    finally:
        stop.set()
        for each in workers:
            each.join()
    return accepted
