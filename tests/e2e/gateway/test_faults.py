"""What breaks around the gateway, and what riders notice of it: at most an answer that says it is the status quo."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections import Counter

import pytest
import urllib3

from tests.e2e.gateway.world import KEYS, PACE, QUESTION, Riders, World, wait_until
from tiphys.serving.gateway.terms import LEAST_IN_FLIGHT, QUESTIONS_IN_FLIGHT

pytestmark = pytest.mark.e2e

STATUS_QUO = {"seconds": 2 * PACE, "model_version": ""}


def ready(world: World, factor: float = 30.0) -> str:
    """A gateway that answers from production and has its status quo, which it keeps on disk from then on; the version."""
    version = world.serve("production", factor)
    world.start()
    wait_until(lambda: world.answers_from("production", version))
    wait_until(lambda: any((world.folder / "state" / "fallback").glob("*.npz")))
    return version


def only_right_answers(riders: Riders, factors: dict[str, float]) -> None:
    """Every answer is the named version's own, or the status quo, and none is an error."""
    for each in riders.asked:
        assert each.status == 200, each
        if each.arm == "status_quo":
            assert each.body == STATUS_QUO
        else:
            assert each.body == {"seconds": pytest.approx(2 * factors[each.version]), "model_version": each.version}


def test_a_triton_that_is_killed_under_load_costs_no_answer(world: World) -> None:
    """Kill -9: the status quo meanwhile, marked as such, and the model again when it is back."""
    version = ready(world)
    with Riders(world) as riders:
        riders.wait_for(50)
        world.tritons["production"].kill()
        wait_until(lambda: riders.asked[-1].arm == "status_quo")
        riders.wait_for(100)
        world.tritons["production"].again()
        wait_until(lambda: riders.asked[-1].arm == "production")
        riders.wait_for(50)
    only_right_answers(riders, {version: 30.0})
    assert Counter(each.arm for each in riders.asked)["status_quo"] >= 100


def test_a_triton_that_hangs_is_answered_for_within_the_deadline(world: World) -> None:
    """SIGSTOP: no rider waits longer than the use case allows, most not at all, and the model is back afterwards."""
    version = ready(world)
    with Riders(world) as riders:
        riders.wait_for(20)
        with world.tritons["production"].stopped():
            wait_until(lambda: riders.asked[-1].arm == "status_quo")
            riders.wait_for(100)
            assert world.get("/healthz").status == 200
            assert world.get("/readyz").json()["models"] == {"tiny": "status_quo"}
        wait_until(lambda: riders.asked[-1].arm == "production")
    only_right_answers(riders, {version: 30.0})


def test_an_asker_may_want_its_answer_sooner(world: World) -> None:
    """X-Timeout-Ms shortens the deadline: a hanging model is answered for at once."""
    ready(world)
    with world.tritons["production"].stopped():
        began = time.monotonic()
        reply = world.ask(**{"X-Timeout-Ms": "1"})
        assert reply.json() == STATUS_QUO
        assert time.monotonic() - began < 0.9  # the kettle's own deadline is longer


def test_staging_has_no_answer_of_last_resort(world: World) -> None:
    """Who tests wants the candidate's own answer: 503 where nothing serves, 504 where it hangs."""
    assert world.tritons["staging"] is not None
    world.serve("staging", 20.0)
    world.start()
    ask = {"path": "/staging/v1/kettle", "key": "tester"}
    wait_until(lambda: world.ask(**ask).status == 200)
    with world.tritons["staging"].stopped():
        assert world.ask(**ask).status == 504
    world.agents["staging"].say("tiny")
    wait_until(lambda: world.ask(**ask).status == 503)
    assert world.ask(**ask).headers["retry-after"]


def test_promotion_and_rollback_under_load_cost_no_question(world: World) -> None:
    """Both versions are loaded, so the switch is the gateway's alone: no error, no status quo, and it is quick."""
    first = ready(world, 30.0)
    second = world.put("production", 40.0, beside=True)
    with Riders(world) as riders:
        riders.wait_for(30)
        for version in (second, first, second):
            world.say("production", version)
            wait_until(lambda: riders.asked[-1].version == version)  # noqa: B023
            riders.wait_for(30)
    only_right_answers(riders, {first: 30.0, second: 40.0})
    assert {each.arm for each in riders.asked} == {"production"}


def test_a_switch_that_cannot_overlap_costs_no_question_either(world: World) -> None:
    """The old version is unloaded before the agent's page names the new one: questions wait for that moment."""
    first = ready(world, 30.0)
    with Riders(world, 3) as riders:
        riders.wait_for(30)
        second = world.serve("production", 40.0)
        wait_until(lambda: riders.asked[-1].version == second)
        riders.wait_for(30)
    only_right_answers(riders, {first: 30.0, second: 40.0})


def test_a_gateway_restarts_with_everything_but_triton_away(world: World) -> None:
    """The last page and the status quo's file are on its disk; agents, ledger and S3 are not there."""
    version = ready(world)
    world.end(signal.SIGKILL)
    addresses = {f"TIPHYS_{name.upper()}_AGENT": "127.0.0.1:9" for name in world.agents}
    world.extra = addresses
    world.start()
    assert world.answers_from("production", version)
    with world.tritons["production"].stopped():
        assert world.ask().json() == STATUS_QUO


def test_a_status_quo_with_another_digest_is_not_used(world: World) -> None:
    """What the agent hands out is checked against its page."""
    world.say("production", "1", fallback_sha256="0" * 64)
    world.start()
    wait_until(lambda: "is not the one with digest" in (world.folder / "gateway.log").read_text())
    assert world.ask().status == 503


def test_until_production_has_a_status_quo_that_of_a_candidate_answers(world: World) -> None:
    """Before the first promotion riders get what past outcomes say."""
    world.say("canary", "1")
    world.start()
    wait_until(lambda: world.ask().status == 200)
    assert world.ask().json() == STATUS_QUO


def test_s3_away_holds_no_answer_up_and_every_line_is_accounted_for(world: World) -> None:
    """Written = landed + waiting + dropped, with S3 gone, through a stop and a start."""
    version = ready(world)
    with Riders(world, 4) as riders:
        riders.wait_for(200)
    spool = world.arms()["spool"]
    assert spool["landed"] == 0
    assert spool["written"] == spool["waiting"] >= len(riders.asked)
    only_right_answers(riders, {version: 30.0})
    world.end()
    world.start()
    again = world.arms()["spool"]
    assert again == spool


def test_a_killed_gateway_loses_only_what_was_not_flushed(world: World) -> None:
    """After half a second everything is on disk, and the next process counts it."""
    ready(world)
    for _ in range(20):
        world.ask()
    written = world.arms()["spool"]["written"]
    segments = world.folder / "state" / "spool"
    wait_until(lambda: sum(each.read_bytes().count(b"\n") for each in segments.glob("predictions*")) >= written)
    world.end(signal.SIGKILL)
    world.start()
    assert world.arms()["spool"]["written"] == written


def test_what_is_too_much_at_once_is_refused_at_once(world: World) -> None:
    """More questions than there are places while the model hangs: 503 with Retry-After, health answers, then all is well."""
    version = ready(world)
    question = _raw(json.dumps({**QUESTION}).encode())
    with world.tritons["production"].stopped():
        sockets = [socket.create_connection(("127.0.0.1", world.port)) for _ in range(QUESTIONS_IN_FLIGHT + 50)]
        for each in sockets:
            each.sendall(question)
        assert world.get("/healthz").status == 200
        found = Counter(_status(each) for each in sockets)
    assert found[503] >= 1
    assert found[200] + found[503] == len(sockets)
    assert found[200] >= 2 * LEAST_IN_FLIGHT
    wait_until(lambda: world.answers_from("production", version))


def _raw(body: bytes) -> bytes:
    head = f"POST /v1/kettle HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEYS['rider']}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _status(connection: socket.socket) -> int:
    connection.settimeout(10)
    with connection:
        return int(connection.recv(65536).split(b" ", 2)[1])


def test_slow_clients_cost_nobody_else_anything(world: World) -> None:
    """A request in drips is a 408; who never reads its answers is not read any more; riders are answered meanwhile."""
    ready(world)
    body = json.dumps(QUESTION).encode()
    drips = [socket.create_connection(("127.0.0.1", world.port)) for _ in range(50)]
    for each in drips:
        each.sendall(_raw(body)[:40])
    deaf = socket.create_connection(("127.0.0.1", world.port))
    deaf.settimeout(0.5)
    with pytest.raises(TimeoutError):
        deaf.sendall(_raw(body) * 300_000)
    assert world.ask().status == 200
    found = Counter(_status(each) for each in drips)
    assert found == {408: 50}
    deaf.close()
    assert world.ask().status == 200


def test_clients_that_leave_give_their_places_back(world: World) -> None:
    """A thousand questions whose askers are gone before the answer: no place stays taken."""
    version = ready(world)
    question = _raw(json.dumps(QUESTION).encode())
    with world.tritons["production"].stopped():
        for _ in range(4):
            sockets = [socket.create_connection(("127.0.0.1", world.port)) for _ in range(250)]
            for each in sockets:
                each.sendall(question)
            for each in sockets:
                each.close()
    wait_until(lambda: world.answers_from("production", version))
    riders = [urllib3.PoolManager(retries=False) for _ in range(3)]
    assert riders
    with Riders(world, 8) as asking:
        asking.wait_for(100)
    assert {each.status for each in asking.asked} == {200}


def test_a_gateway_that_is_told_to_stop_answers_what_is_in_flight(world: World) -> None:
    """Under load: whoever was asked answers, and only new connections are refused."""
    ready(world)
    riders = Riders(world, 4)
    riders.wait_for(50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("threading.excepthook", lambda _: None)  # riders whose connection is refused afterwards
        world.end()
        for each in riders._threads:
            each.join(10)
    assert {each.status for each in riders.asked} == {200}
