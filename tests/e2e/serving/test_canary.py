"""Candidates in canary, on real servers: bad ones are rolled back by themselves, good ones promoted, riders notice nothing."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from onnx import TensorProto
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DoubleType, NestedField, StringType, TimestampType

from tests.e2e.serving import models_by_hand as by_hand
from tests.e2e.serving.conftest import QUESTION, TINY
from tiphys.errors import PermanentError
from tiphys.lake.catalog import Lake
from tiphys.lake.dataset import MONTHS
from tiphys.release.records import Evidence, Recorded
from tiphys.serving.gateway_client import GatewayClient
from tiphys.settings import PROJECT, AskerSettings, CatalogSettings, S3Settings, load

pytestmark = pytest.mark.e2e

SCHEMA = Schema(
    NestedField(1, "switched_on", TimestampType()),
    NestedField(2, "litres", DoubleType()),
    NestedField(3, "celsius", DoubleType()),
    NestedField(4, "seconds", DoubleType()),
    NestedField(5, "month", StringType()),
)
GROSS = 100
"""Questions within which a gross fault is found, as docs/architecture/15-canary.md says."""


@pytest.fixture(scope="module")
def boiled(stack: Any) -> str:
    """A dataset of 1,500 boilings in one month: 100 seconds a litre, and chance."""
    environment = stack.environment("etl")
    lake = Lake(load(CatalogSettings, environment), load(S3Settings, environment))
    catalog = lake.writer()
    catalog.create_namespace_if_not_exists("tiny")
    spec = PartitionSpec(PartitionField(5, 1000, IdentityTransform(), "month"))
    table = catalog.create_table("tiny.boiled", SCHEMA, partition_spec=spec)
    chance = np.random.default_rng(0)
    litres = chance.uniform(0.2, 2.9, 1500)
    rows = {
        "switched_on": np.full(1500, np.datetime64("2024-03-01T08:00:00", "us")),
        "litres": litres,
        "celsius": chance.uniform(5, 60, 1500).round(),
        "seconds": 100 * litres * chance.lognormal(0, 0.2, 1500),
        "month": ["2024-03"] * 1500,
    }
    table.append(pa.table(rows), snapshot_properties={MONTHS: json.dumps({"2024-03": "0" * 64})})
    snapshot = table.current_snapshot()
    assert snapshot is not None
    table.manage_snapshots().create_tag(snapshot.snapshot_id, "v-boiled").commit()
    return "tiny.boiled@v-boiled"


@dataclass
class Kitchen:
    """A shop with a good model in production, where candidates are tried."""

    shop: Any
    dataset: str

    def tested(self, content: bytes) -> Recorded:
        """Put a model into staging, as deploy leaves it when its tests have held."""
        recorded: Recorded = self.shop.release(self.shop.put(self.shop.make(100.0, onnx=content)))
        self.shop.ledger().wait_until_served(recorded, 60)
        return recorded

    def inputs(self, recorded: Recorded, **more: Any) -> dict[str, Any]:
        """What the canary step is given."""
        given = {"use_case": TINY, "dataset": self.dataset, "staging_generation": recorded.generation, "rate": 100}
        return {**given, "share": 0.5, "shadow": 0.5, **more}

    def canary(self, recorded: Recorded, folder: Path, **more: Any) -> dict[str, str]:
        """Run the step to its end; answers with its outputs."""
        self.shop.step("canary", folder, **self.inputs(recorded, **more))
        return {each.name: each.read_text() for each in (folder / "outputs").iterdir()}

    def released(self) -> Recorded:
        """What is to be in canary now."""
        found: Recorded = self.shop.ledger().current("canary").releases[TINY]
        return found

    def rider(self) -> GatewayClient:
        """Ask as any user does."""
        settings = load(AskerSettings, self.shop.stack.environment("rider"))
        return GatewayClient(self.shop.stack.config["TIPHYS_GATEWAY_URL"], key=settings.key, timeout=10)

    def arms(self, riders: int = 60) -> Counter[str]:
        """Who answers so many different riders."""
        rider = self.rider()
        replies = [rider.ask("/v1/kettle", QUESTION, headers={"X-Rider-Id": f"rider-{n}"}) for n in range(riders)]
        assert {each.status for each in replies} == {200}
        return Counter(each.headers["x-tiphys-arm"] for each in replies)

    @contextmanager
    def riders(self) -> Iterator[list[Any]]:
        """Riders who ask all the time; answers with what they were told."""
        told: list[Any] = []
        over = threading.Event()

        def ask() -> None:
            rider = self.rider()
            for number in itertools.count():
                if over.wait(0.01):
                    return
                told.append(rider.ask("/v1/kettle", QUESTION, headers={"X-Rider-Id": str(number % 50)}))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for each in threads:
            each.start()
        try:
            yield told
        finally:
            over.set()
            for each in threads:
                each.join()


@pytest.fixture
def kitchen(shop: Any, boiled: str) -> Kitchen:
    """With a good model in production."""
    release = shop.put(shop.make(100.0, onnx=by_hand.onnx(by_hand.good)))
    shop.ledger().wait_until_served(shop.release(release, "production"), 60)
    return Kitchen(shop, boiled)


BAD: dict[str, tuple[Callable[[], by_hand.Tail] | by_hand.Tail, str, int]] = {
    "no number": (by_hand.no_number, "a sound model never says that", 50),
    "infinite": (by_hand.infinite, "a sound model never says that", 50),
    "no number for much water": (by_hand.no_number_for_much_water, "a sound model never says that", 60),
    "raises": (by_hand.greedy, "failures", 60),
    "constant": (by_hand.constant, "", GROSS),
    "slow": (by_hand.slow, "", 150),
    "too long by 30 %": (by_hand.times(1.3), "", 200),
    "too short by 30 %": (by_hand.times(1 / 1.3), "", 200),
    "a thousand times too long": (by_hand.times(1000.0), "", GROSS),
}
"""Fault -> words of the reason, and the most questions until it is found: the docs' figures and those of one look more."""


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_candidate_is_rolled_back_and_no_rider_sees_a_failure(
    kitchen: Kitchen, fault: str, tmp_path: Path
) -> None:
    """Half of the riders were to get it: all of them get numbers, and afterwards nobody gets it any more."""
    tail, words, within = BAD[fault]
    candidate = kitchen.tested(by_hand.onnx(tail))
    with kitchen.riders() as told:
        found = kitchen.canary(candidate, tmp_path)
    assert found["verdict"] == "rollback"
    assert words in found["reasons"]
    assert int(found["answers"]) <= within
    assert kitchen.released().kind == "withdrawal"
    assert told
    assert {each.status for each in told} == {200}
    assert all(np.isfinite(each.body["seconds"]) for each in told)
    assert set(kitchen.arms()) == {"production"}
    evidence = kitchen.shop.ledger().evidence(manifest_sha256=candidate.manifest_sha256, kind="canary")
    assert [each.held for each in evidence] == [False]
    assert "rollback" in (tmp_path / "artifacts/canary.html").read_text()


@pytest.mark.parametrize(
    ("tail", "kind", "columns"),
    [(by_hand.two_columns, TensorProto.FLOAT, 2), (by_hand.whole_numbers, TensorProto.INT64, 1)],
    ids=["two columns", "whole numbers"],
)
def test_a_wrong_shape_or_type_is_refused_or_rolled_back(
    kitchen: Kitchen, tmp_path: Path, tail: Callable[[], by_hand.Tail], kind: int, columns: int
) -> None:
    """The model server refuses it where it looks, else the gateway does: it reaches nobody in either case."""
    content = by_hand.onnx(tail, kind=kind, columns=columns)
    recorded = kitchen.shop.release(kitchen.shop.put(kitchen.shop.make(100.0, onnx=content)))
    try:
        kitchen.shop.ledger().wait_until_served(recorded, 60)
    except PermanentError as error:  # refused before anybody could ask; a timeout is no refusal
        assert "not served" in str(error)  # noqa: PT017
        return
    assert kitchen.canary(recorded, tmp_path)["verdict"] == "rollback"
    assert set(kitchen.arms()) == {"production"}


def test_a_good_candidate_is_judged_and_promoted(kitchen: Kitchen, tmp_path: Path) -> None:
    """Canary, judge and promote as the pipeline runs them; the same image again ends at once and changes nothing."""
    candidate = kitchen.tested(by_hand.onnx(by_hand.times(1.01)))
    what = candidate.model_dump(include={"use_case", "model_version", "manifest_sha256"})
    for kind in ("evaluation", "export", "integration-test", "load-test"):
        kitchen.shop.ledger("deploy").add_evidence(
            Evidence(**what, kind=kind, held=True, content={"verdict": "passed"})
        )
    found = kitchen.canary(candidate, tmp_path / "canary")
    assert found["verdict"] == "promote", found["reasons"]
    judged = {**what, "canary_verdict": found["verdict"], "canary_reasons": found["reasons"]}
    _, judge = kitchen.shop.step("judge", tmp_path / "judge", **judged)
    assert (judge / "outputs/verdict").read_text() == "promote"
    _, promote = kitchen.shop.step(
        "promote", tmp_path / "promote", use_case=TINY, staging_generation=candidate.generation
    )
    assert (promote / "outputs/changed").read_text() == "true"
    production = kitchen.shop.ledger().current("production").releases[TINY]
    assert production.image == candidate.image
    assert production.passport == (promote / "outputs/passport").read_text()
    assert kitchen.released().kind == "withdrawal"
    again = kitchen.canary(candidate, tmp_path / "again")
    assert (again["verdict"], again["answers"]) == ("already in production", "0")
    kitchen.shop.step("promote", tmp_path / "nothing", use_case=TINY, staging_generation=candidate.generation)
    assert kitchen.shop.ledger().current("production").releases[TINY] == production


def test_what_a_person_went_back_from_is_not_tried_again(kitchen: Kitchen, tmp_path: Path) -> None:
    """The canary says so before anybody is asked, and leaves nothing that would stand in the way of that person's word."""
    candidate = kitchen.tested(by_hand.onnx(by_hand.times(1.02)))
    ledger = kitchen.shop.ledger()
    ledger.wait_until_served(kitchen.shop.release(candidate.release(), "production"), 60)
    kitchen.shop.cli("release", "rollback", "production", "tiny", "--reason", "kettles explode")
    before, canary = ledger.current("production"), ledger.current("canary").generation
    said, _ = kitchen.shop.step("canary", tmp_path / "canary", code=65, **kitchen.inputs(candidate))
    assert "kettles explode" in said
    assert "tiphys release promote" in said
    assert ledger.current("canary").generation == canary
    assert not ledger.evidence(manifest_sha256=candidate.manifest_sha256, kind="canary")[1:]
    assert ledger.current("production").releases == before.releases
    kitchen.shop.cli("release", "promote", "tiny")
    assert ledger.current("production").releases[TINY].image == candidate.image


def test_a_refusal_fails_the_run_with_its_reasons(kitchen: Kitchen, tmp_path: Path) -> None:
    """What judge and rollback do with a candidate that the canary refused; production is as it was."""
    before = kitchen.shop.ledger().current("production").generation
    candidate = kitchen.tested(by_hand.onnx(by_hand.no_number))
    found = kitchen.canary(candidate, tmp_path / "canary")
    what = candidate.model_dump(include={"use_case", "model_version", "manifest_sha256"})
    judged = {**what, "canary_verdict": found["verdict"], "canary_reasons": found["reasons"]}
    _, judge = kitchen.shop.step("judge", tmp_path / "judge", **judged)
    assert (judge / "outputs/verdict").read_text() == "rollback"
    reasons = (judge / "outputs/reasons").read_text()
    assert "evaluation: there is no evidence" in reasons
    assert "never says that" in reasons
    rollback = {"use_case": TINY, "environment": "canary", "reasons": reasons}
    said, _ = kitchen.shop.step("rollback", tmp_path / "rollback", code=65, **rollback)
    assert "never says that" in said
    said, _ = kitchen.shop.step("promote", tmp_path / "promote", code=65, use_case=TINY)
    assert "gets no passport" in said
    assert kitchen.shop.ledger().current("production").generation == before


def test_production_goes_back_as_a_step_of_its_own(kitchen: Kitchen, tmp_path: Path) -> None:
    """The release before: same image, manifest and passport."""
    before = kitchen.shop.ledger().current("production").releases[TINY]
    kitchen.shop.serve(150.0, "production")
    kitchen.shop.step("rollback", tmp_path, use_case=TINY, reasons="by test")
    now = kitchen.shop.ledger().current("production").releases[TINY]
    assert (now.kind, now.image, now.passport) == ("rollback", before.image, before.passport)
    assert kitchen.arms() == {"production": 60}


def test_a_slightly_worse_candidate_is_let_through(kitchen: Kitchen, tmp_path: Path) -> None:
    """Three per cent is within the noise of hundreds of answers: that was evaluate's to decide."""
    assert kitchen.canary(kitchen.tested(by_hand.onnx(by_hand.times(1.03))), tmp_path)["verdict"] == "promote"


def test_a_model_server_that_hangs_is_no_success(kitchen: Kitchen, tmp_path: Path) -> None:
    """The canary's Triton says nothing any more: production answers everybody, and the candidate is refused."""
    candidate = kitchen.tested(by_hand.onnx(by_hand.times(0.99)))
    step = _start(kitchen, candidate, tmp_path, rate=10, rides=5000, deadline_s=60)
    _until(lambda: _share(kitchen, candidate) > 0, "the canary has a share")
    pid = kitchen.shop.kill("triton-canary", signal.SIGSTOP)
    with kitchen.riders() as told:
        output, _ = step.communicate(timeout=180)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    assert step.returncode == 0, output
    assert (tmp_path / "outputs/verdict").read_text() == "rollback", output
    assert {each.status for each in told} == {200}


def test_a_gateway_that_starts_anew_breaks_no_trial(kitchen: Kitchen, tmp_path: Path) -> None:
    """What could not be asked counts for neither; a good candidate is still found good."""
    candidate = kitchen.tested(by_hand.onnx(by_hand.times(0.98)))
    step = _start(kitchen, candidate, tmp_path, rate=30, rides=1000)
    _until(lambda: _share(kitchen, candidate) > 0, "the canary has a share")
    kitchen.shop.kill("gateway", signal.SIGKILL)
    output, _ = step.communicate(timeout=180)
    assert step.returncode == 0, output
    assert (tmp_path / "outputs/verdict").read_text() == "promote", output


def test_a_judge_that_dies_takes_no_users_along(kitchen: Kitchen, tmp_path: Path) -> None:
    """Killed in the middle: its candidate's traffic ends by itself, at the time that stands in the ledger."""
    candidate = kitchen.tested(by_hand.onnx(by_hand.times(1.02)))
    step = _start(kitchen, candidate, tmp_path, rate=5, rides=5000, lease_s=6)
    _until(lambda: _share(kitchen, candidate) > 0, "the canary has a share")
    _until(lambda: kitchen.arms()["canary"] > 0, "riders get the canary")
    step.kill()
    step.communicate()
    released = kitchen.released()
    assert released.kind == "release"
    assert released.until is not None
    assert (released.until - datetime.now(UTC)).total_seconds() <= 6
    _until(lambda: set(kitchen.arms()) == {"production"}, "nobody gets the canary any more", 30)


def _start(kitchen: Kitchen, candidate: Recorded, folder: Path, **more: Any) -> subprocess.Popen[str]:
    """Start the step beside the test."""
    command = [sys.executable, "-m", "components.canary"]
    command += ["--outputs", str(folder / "outputs"), "--artifacts", str(folder / "artifacts")]
    for name, value in kitchen.inputs(candidate, **more).items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**own, **kitchen.shop.stack.environment("canary"), "TIPHYS_RUN": folder.name}
    return subprocess.Popen(
        command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _share(kitchen: Kitchen, candidate: Recorded) -> float:
    """The candidate's share of the riders: what a trial before this one left counts for nothing."""
    released = kitchen.shop.ledger().current("canary").releases.get(TINY)
    is_its = released is not None and released.kind == "release" and released.image == candidate.image
    return released.share if released is not None and is_its else 0.0


def _until(what: Callable[[], bool], named: str, within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not what():
        if time.monotonic() > deadline:
            pytest.fail(f"not so after {within:.0f} s: {named}")
        time.sleep(0.1)
