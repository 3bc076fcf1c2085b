"""What askers are told: one question, a batch, feedback; who may ask what; and where the admin's pages are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.gateway.world import KEYS, QUESTION, Riders, World, kettle, wait_until
from tiphys.serving.gateway.terms import QUESTION_CAP

pytestmark = pytest.mark.e2e


def test_a_question_is_answered_by_the_version_that_the_agent_names(world: World) -> None:
    """The headers say who answered, the status of the page is ready, and the figures count it."""
    version = world.serve("production", 30.0)
    world.start()
    wait_until(lambda: world.answers_from("production", version))
    assert world.ask().json() == {"seconds": 60.0, "model_version": version}
    assert world.get("/readyz").json() == {"ready": True, "models": {"tiny": "model"}}
    figures = world.figures("production", version)
    assert figures["answers"] >= 2
    assert figures["values"]["min"] == figures["values"]["max"] == 60.0
    assert sum(figures["latency_ms"]["counts"]) == figures["answers"]


def test_a_batch_is_answered_in_its_order(world: World) -> None:
    """A thousand questions, more than one request to Triton holds, while riders ask, too."""
    version = world.serve("production", 10.0)
    world.start()
    wait_until(lambda: world.answers_from("production", version))
    questions = [{"litres": 0.5 + number / 1000, "celsius": 20} for number in range(1000)]
    with Riders(world, 2) as riders:
        reply = world.ask({"questions": questions}, "/v1/kettle/batch")
    assert reply.status == 200
    answers = [each["seconds"] for each in reply.json()["answers"]]
    assert answers == pytest.approx([10 * each["litres"] for each in questions], rel=1e-6)
    assert {each.status for each in riders.asked} == {200}


WRONG_BATCHES: list[tuple[Any, str]] = [
    ([], "questions"),
    ([QUESTION] * 1001, "questions"),
    ([QUESTION, {"litres": 9, "celsius": 20}], "questions.1.litres"),
    ([QUESTION, 3], "questions.1"),
    ("x", "questions"),
]


def test_a_batch_that_makes_no_sense_is_refused_as_a_whole(world: World) -> None:
    """The wrong question is named by its number."""
    world.start()
    for questions, named in WRONG_BATCHES:
        reply = world.ask({"questions": questions}, "/v1/kettle/batch")
        assert reply.status == 422
        assert named in reply.json()["error"]["message"]


def test_a_row_that_the_model_cannot_answer_fails_alone(world: World) -> None:
    """NaN for one of many, and a row that breaks the request it is in: only those fail; staging shows it."""
    for odd in ("nan", "inf", "broken"):
        version = world.serve("staging", onnx=kettle(10.0, odd=odd))
        if world.process is None:
            world.start()
        ask = {"path": "/staging/v1/kettle", "key": "tester"}
        wait_until(lambda: world.ask(**ask).headers.get("x-tiphys-version") == version)  # noqa: B023
        questions = [{"litres": 3.0 if number % 40 == 7 else 1.0, "celsius": 20} for number in range(100)]
        reply = world.ask({"questions": questions}, "/staging/v1/kettle/batch", "tester")
        assert reply.status == 200
        bad = [number for number, each in enumerate(reply.json()["answers"]) if "error" in each]
        assert bad == [7, 47, 87], odd
        code = world.ask(questions[7], **ask).json()["error"]["code"]  # type: ignore[arg-type]
        assert code == ("unavailable" if odd == "broken" else "bad_answer")


BODIES: list[tuple[bytes, int]] = [
    (b"", 400), (b"{", 400), (b'"\xff"', 400), (b"[" * 5000, 400), (b"[]", 422), (b"null", 422), (b"NaN", 422),
    (b'{"litres": "2", "celsius": 20}', 200), (b'{"litres": 2}', 422), (b'{"litres": NaN, "celsius": 20}', 422),
    (b'{"litres": 1e999, "celsius": 20}', 422), (b'{"litres": 2, "celsius": 1e300}', 422),
    (b'{"litres": 2, "celsius": 20}' + b" " * 16_384, 413),
]  # fmt: skip


def test_what_is_no_question_is_refused(world: World) -> None:
    """Broken JSON is 400, other JSON is 422, too much is 413; nothing is 500."""
    world.say("production", "1")
    world.start()
    wait_until(lambda: world.ask().status == 200)
    for body, status in BODIES:
        assert world.ask(body).status == status, body[:50]


def test_keys_say_who_may_ask_what(world: World) -> None:
    """401 without or with a forged key, 403 for staging with a rider's, on every typed route."""
    world.start()
    for path in (
        "/v1/kettle",
        "/v1/kettle/batch",
        "/v1/kettle/feedback",
        "/canary/v1/kettle",
        "/staging/v1/kettle/batch",
    ):
        assert world.ask(path=path, key="", Authorization="").status == 401
        assert world.ask(path=path, key="forged").status == 401
    assert world.ask(path="/staging/v1/kettle", key="rider").status == 403
    assert world.ask(path="/canary/v1/kettle/batch", key="rider").status == 403
    assert world.ask(path="/staging/v1/kettle", key="tester").status == 503


def test_a_key_has_its_rate_and_its_day(world: World) -> None:
    """429 with Retry-After; the answers before are right."""
    version = world.serve("production")
    world.start()
    wait_until(lambda: world.answers_from("production", version))
    found = [world.ask(key="slow") for _ in range(4)]
    assert [each.status for each in found] == [200, 200, 200, 429]
    assert found[3].headers["retry-after"] == "1"
    assert world.ask({"questions": [QUESTION] * 6}, "/v1/kettle/batch", "daily").status == 429
    assert world.ask({"questions": [QUESTION] * 5}, "/v1/kettle/batch", "daily").status == 200
    refused = world.ask(key="daily")
    assert refused.status == 429
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.json()["error"]["code"] == "quota"


def test_what_was_asked_in_a_day_outlives_a_restart(world: World) -> None:
    """A quota is not won back by a gateway that ends."""
    world.start()
    world.ask({"questions": [QUESTION] * 5}, "/v1/kettle/batch", "daily")
    world.end()
    world.start()
    assert world.ask(key="daily").status == 429


def test_feedback_is_taken_down(world: World) -> None:
    """202 for an outcome, with facts or without; 422 for an id that is none, a value that is none, a time without a zone."""
    world.start()
    good = {"prediction_id": "0" * 32, "actual": 61.5}
    path = "/v1/kettle/feedback"
    assert world.ask(good, path).status == 202
    assert world.ask({**good, "facts": {"switched_on": 1.0}}, path, "auditor").status == 202
    assert world.ask({**good, "at": "2026-11-22T06:00:00Z"}, path).status == 202
    for wrong in (
        {"prediction_id": "x"},
        {"actual": "NaN"},
        {"actual": None},
        {"at": "2026-11-22T06:00:00"},
        {"more": 1},
        {"facts": {"miles": "8"}},
        {"facts": {f"fact{number}": 1.0 for number in range(17)}},
        {"facts": {"x" * 65: 1.0}},
    ):
        assert world.ask({**good, **wrong}, path).status == 422, wrong
    assert world.arms()["spool"]["written"] == 3
    for text in (
        b'{"prediction_id": "%s", "actual": NaN}',
        b'{"prediction_id": "%s", "actual": 1, "facts": {"miles": Infinity}}',
    ):
        assert world.ask(text % (b"0" * 32), path).status in {400, 422}, text
    assert world.ask(json.dumps({**good, "facts": {"x": 1.0}}).encode() + b" " * QUESTION_CAP, path).status == 413
    world.end()
    logged = world.logged("feedback")
    assert [(each["asker"], each.get("facts")) for each in logged] == [
        ("rider", None), ("auditor", {"switched_on": 1.0}), ("rider", None),
    ]  # fmt: skip


def test_an_answer_names_itself_for_feedback(world: World) -> None:
    """In a header, whatever the use case puts into its answer; the log has it under that name. An auditor asks as a rider."""
    version = world.serve("production", 30.0)
    world.start()
    wait_until(lambda: world.answers_from("production", version))
    named = world.ask(key="auditor").headers["x-tiphys-prediction"]
    assert world.ask(path="/staging/v1/kettle", key="auditor").status == 403
    world.end()
    (line,) = (each for each in world.logged("predictions") if each["asker"] == "auditor")
    assert line["prediction_id"] == named


def test_other_routes_methods_types_and_headers_are_told_so(world: World) -> None:
    """404, 405 with what is allowed, 415, 400 for a wrong X-Timeout-Ms."""
    world.start()
    assert world.ask(path="/v1/nothing").status == 404
    assert world.ask(path="/v2/health/live").status in {404, 405}
    wrong = world.get("/v1/kettle")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert world.ask(path="/docs").status == 405
    reply = world.ask(**{"Content-Type": "text/plain"})
    assert reply.status == 415
    for text in ("0", "-1", "1.5", "x", "9" * 20):
        assert world.ask(**{"X-Timeout-Ms": text}).status == 400


def test_the_admin_port_is_for_who_has_its_token(world: World) -> None:
    """401 for all others, riders' and testers' keys too; the rider port has none of its pages."""
    world.start()
    for path in ("/admin/v1/arms", "/admin/v1/routes", "/metrics"):
        assert world.get(path).status == 404
        for token in ("", KEYS["tester"], "admin-tokem"):
            assert world.admin(path, token).status == 401
        assert world.admin(path).status == 200
    assert world.admin("/v1/kettle").status == 404
    world.ask()
    assert 'tiphys_gateway_requests_total{route="/v1/kettle",status="503"} 1.0' in world.admin("/metrics").data.decode()


def test_the_gateway_describes_itself_without_fetching_anything(world: World) -> None:
    """The document has every route and the ways to send a key; the page is complete in itself."""
    world.start()
    document = world.get("/openapi.json").json()
    assert {
        "/v1/kettle",
        "/v1/kettle/batch",
        "/v1/kettle/feedback",
        "/canary/v1/kettle",
        "/staging/v1/kettle/batch",
    } <= set(document["paths"])
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert {"401", "403", "429"} <= set(document["paths"]["/v1/kettle"]["post"]["responses"])
    reply = world.get("/docs")
    page = reply.data.decode()
    assert "Authorization: Bearer" in page
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "src=" not in page
    assert "://" not in page
    forged = world.get("/docs", Host='"><script>alert(1)</script>').data.decode()
    assert "<script" not in forged


def test_what_is_only_tried_out_is_not_logged(world: World) -> None:
    """A tester's questions, single or in a batch, and outcomes are no rides: who watches or trains never sees them."""
    version = world.serve("production", 30.0)
    world.start()
    wait_until(lambda: world.answers_from("production", version))
    written = world.arms()["spool"]["written"]
    assert world.ask({**QUESTION}, key="tester").status == 200
    assert world.ask({"questions": [QUESTION] * 3}, "/v1/kettle/batch", "tester").status == 200
    assert world.ask({"prediction_id": "0" * 32, "actual": 61.5}, "/v1/kettle/feedback", "tester").status == 202
    assert world.arms()["spool"]["written"] == written
    assert world.ask({**QUESTION}).status == 200
    assert world.arms()["spool"]["written"] == written + 1


def test_answers_are_logged_for_the_judge_and_the_monitors(world: World) -> None:
    """One line each, with features, interval, version and source; S3 being away holds nothing up."""
    version = world.serve("production", 30.0)
    world.start()
    wait_until(lambda: world.answers_from("production", version))
    world.ask({"questions": [QUESTION] * 3}, "/v1/kettle/batch")
    world.end()
    (segment,) = (world.folder / "state" / "spool").glob("predictions*")
    lines = [json.loads(line) for line in segment.read_text().splitlines()]
    asked = [each for each in lines if each["arm"] == "production"]
    assert len(asked) >= 4
    line = asked[-1]
    assert line["features"] == {"litres": 2.0, "celsius": 20}
    assert (line["value"], line["model_version"], line["source"], line["asker"]) == (60.0, version, "model", "rider")
    assert (line["low"], line["high"]) == (pytest.approx(54.0), pytest.approx(66.0))
    assert line["at"].endswith("Z")
    assert len({each["prediction_id"] for each in lines}) == len(lines)
    assert all(len(each["prediction_id"]) == 32 for each in lines)
