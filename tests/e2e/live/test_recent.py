"""What the gateway serves for the live feature is what training computes for the same rides, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.csv as pc
import pytest
import torch

from components.export.interval import Band
from components.export.onnx_export import to_onnx
from tests.e2e.gateway.world import World, wait_until
from tests.e2e.lake.conftest import Steps
from tests.e2e.live.replayed import BEGIN, END, TAXI, City, askable, clean, identity
from tiphys import recent_values
from tiphys.lake import live
from tiphys.lake.dataset import Dataset
from tiphys.serving.repository import build
from tiphys.settings import StackSettings
from tiphys.usecase import Arrival
from usecases.taxi_eta.recent import NAME, RECENT
from usecases.taxi_eta.simulator import simulate

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ASKED_FROM = int(np.datetime64("2017-03-14").astype("datetime64[s]").astype(int))


def _onnx(history: Any) -> bytes:
    """The taxi's network, not trained: the status quo, an e-th longer for each unit of pace."""
    model = TAXI.part("model").build(TAXI.part("model").CONFIG, history)
    width = model.deep[0].in_features
    pace = width - 3 * 8 - 1
    with torch.no_grad():
        model.residual.weight[0, -width + pace] = 0.08
    band = Band(np.zeros(0, np.float32), np.array([-60.0], np.float32), np.array([60.0], np.float32), 0.0)
    return to_onnx(model.eval(), TAXI, band)


def _serve(world: World, onnx: bytes) -> None:
    """Put the model into production's Triton, as its agent does."""
    triton = world.tritons["production"]
    if triton.process is None:
        triton.start()
    reference = {each.name: [1.0 if each.dtype == "float32" else 1] for each in TAXI.features}
    repository = build(TAXI, "1", onnx, {**reference, **{name: [1.0] for name in TAXI.target.outputs}})
    models = triton.plan.layout.data("triton-production") / "models"
    for path, content in repository.files.items():
        (models / path).parent.mkdir(parents=True, exist_ok=True)
        (models / path).write_bytes(content)
    triton.control.load("taxi_eta")
    world.agents["production"].say(
        "taxi_eta", use_case="taxi_eta", version="1", loaded=["1"], generation=1, share=0.0, shadow=0.0, until=None,
        inputs={each.name: each.dtype for each in TAXI.features}, outputs=list(TAXI.target.outputs), fallback_sha256="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def city(stack: Any, new_stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """Ten days of a file's rides, landed and collected; a gateway of its own with the taxi's model."""
    folder = tmp_path_factory.mktemp("pace")
    (folder / "scratch").mkdir()
    (path,) = simulate(folder / "trips", rows=9000, seed=3, first_month="2017-03", last_month="2017-03")
    begun = pc.read_csv(path)["pickup_datetime"].to_numpy()
    table = (
        pc.read_csv(path)
        .take(np.flatnonzero((begun >= np.datetime64(BEGIN, "s")) & (begun < np.datetime64(END, "s"))))
        .sort_by("pickup_datetime")
    )
    (folder / "tritons").mkdir()
    settings: StackSettings = new_stack(folder / "tritons")
    world = World(folder, settings)
    found = City(stack, Steps(lambda name: dict(stack.environment(name)), folder / "scratch"), world, askable(table))
    try:
        found.land("predictions", "1", found.answers(found.rides))
        found.land("feedback", "1", found.reports(found.rides))
        found.told = found.collect()
        _serve(world, _onnx(TAXI.examples(clean(table))))
        yield found
    finally:
        world.stop()


def key(features: Any) -> tuple[int, ...]:
    """What tells rides apart."""
    return tuple(int(features[name]) for name in ("pickup_zone", "dropoff_zone", "pickup_time", "passengers"))


def test_what_was_served_is_what_training_computes_of_the_same_rides(city: City) -> None:
    """The files that were exported go through ingest and etl; each ride's value is the logged one, to the last bit."""
    done = city.steps.run("ingest", source=city.told["live_source"])
    assert done.code == 0, done.log
    dataset = city.steps.etl(done.outputs["manifest"])["dataset"]
    lake = city.steps.lake("train")
    version = Dataset.open(dataset, lake)
    past = TAXI.past(version.read(TAXI.columns))
    last = max(step for step, _ in city.table())
    asked = [each for each in city.rides if ASKED_FROM <= each.moment < (last + 1) * RECENT.step_s]
    city.start()
    wait_until(lambda: city.one(last * RECENT.step_s)[1] == "fresh")
    lines = city.served(asked)
    columns = [
        past.features[name].tolist() for name in ("pickup_zone", "dropoff_zone", "pickup_time", "passengers", NAME)
    ]
    trained = {key: value for *key_, value in zip(*columns, strict=True) for key in [tuple(key_)]}
    pairs = [
        (line["features"][NAME], trained[key(line["features"])]) for line in lines if key(line["features"]) in trained
    ]
    assert len(lines) == len(asked)
    assert len(pairs) > 300
    assert len({value for _, value in pairs}) > 100
    assert max(abs(value) for _, value in pairs) > 0.02
    assert [served for served, _ in pairs] == [value for _, value in pairs]
    assert len({line["value"] for line in lines}) > 100


def test_the_answer_follows_the_value_and_the_value_its_bound(city: City) -> None:
    """As of the question's moment: the step's own, the last one until it is stale, before the first one none."""
    table = city.table()
    last = max(step for step, _ in table)
    first = min(step for step, _ in table)
    city.start()
    now = float(last * RECENT.step_s)
    wait_until(lambda: city.one(now)[1] == "fresh")
    for group, zone in ((0, 161), (1, 132), (2, 7)):
        assert city.one(now + 60, zone)[:2] == (table[last, group], "fresh")
    assert city.one(now + RECENT.stale_s)[:2] == (table[last, 0], "fresh")
    assert city.one(now + RECENT.stale_s + 1)[:2] == (RECENT.fallback, "stale")
    assert city.one(first * RECENT.step_s - 1.0)[:2] == (RECENT.fallback, "missing")
    hour = next(
        step
        for step in range(last - 20, last)
        if table[step, 0] * table[last, 0] < 0 or table[step, 0] != table[last, 0]
    )
    same_hour = [step for step in (hour, hour + 1) if step * RECENT.step_s // 3600 == hour * RECENT.step_s // 3600]
    told = [city.one(step * RECENT.step_s) for step in same_hour]
    for value, _, seconds in told:
        usual = told[0][2] / np.exp(told[0][0])
        assert seconds == pytest.approx(usual * np.exp(value), rel=2e-3)
    metrics = city.world.admin("/metrics").data.decode()
    assert 'tiphys_gateway_live_features_total{state="stale",use_case="taxi_eta"} 1.0' in metrics
    city.world.end()


def test_an_outcome_that_comes_after_its_steps_were_made_changes_none_of_them(city: City) -> None:
    """What was said stands and is served; only steps that are made afterwards know of it."""
    before = city.table()
    last = max(step for step, _ in before)
    base = last * RECENT.step_s
    late = [
        Arrival(
            base - 3000.0 + n,
            "rider",
            {**city.rides[n].request, "pickup_zone": 161},
            2400.0,
            base - 500.0,
            {"miles": 2.0},
        )
        for n in range(40)
    ]
    late = [_at(each) for each in late]
    after = [
        _at(Arrival(base + 900.0 + 60 * n, "rider", late[0].request, 500.0, base + 1500.0 + 60 * n, {"miles": 2.0}))
        for n in range(12)
    ]
    first = len(city.rides)
    city.land("predictions", "2", city.answers([*late, *after], first))
    city.land("feedback", "2", city.reports([*late, *after], first))
    done = city.collect()
    now = city.table()
    assert {each: now[each] for each in before} == before
    assert int(done["live_values"]) == len(now) - len(before) > 0
    rows = live.read("taxi_eta", "labelled", columns=["prediction_id"], lake=city.lake)["prediction_id"].to_pylist()
    assert {identity(first + n) for n in range(52)} <= set(rows)
    assert now[last + 1, 0] > before[last, 0] + 0.2
    assert int(city.collect()["live_values"]) == 0
    assert city.table() == now
    city.start()
    wait_until(lambda: city.one(base + RECENT.step_s)[0] == now[last + 1, 0])
    assert city.one(base + 1.0)[:2] == (before[last, 0], "fresh")
    city.world.end()


def _at(ride: Arrival) -> Arrival:
    at = datetime.fromtimestamp(ride.moment, UTC).replace(tzinfo=None).isoformat()
    return Arrival(
        ride.moment, ride.persona, {**ride.request, "pickup_time": at}, ride.actual, ride.known_at, ride.facts
    )


def test_an_altered_file_is_refused_and_s3_may_be_away(city: City) -> None:
    """The last good values go on, also over a restart without S3; a gateway that never had any has the fallback.

    The next run of collect-outcomes writes the file anew.
    """
    table = city.table()
    last = max(step for step, _ in table)
    now = float(last * RECENT.step_s)
    store, address = city.lake.store, recent_values.where("taxi_eta")
    good = store.get(address)
    expected = (table[last, 0], "fresh")
    city.start()
    wait_until(lambda: city.one(now)[:2] == expected)
    altered = bytearray(good)
    altered[good.rindex(b"]") - 1] ^= 1
    try:
        store.put(address, bytes(altered))
        wait_until(lambda: "is refused" in (city.world.folder / "gateway.log").read_text())
        assert city.one(now)[:2] == expected
        city.world.end()
        city.start(TIPHYS_S3_ENDPOINT="http://127.0.0.1:9")
        wait_until(
            lambda: "what is known goes on" in (city.world.folder / "gateway.log").read_text().rpartition("refused")[2]
        )
        assert city.one(now)[:2] == expected
        city.world.end()
        (city.world.folder / "state" / "recent" / "taxi_eta.json").unlink()
        city.start()
        wait_until(lambda: (city.world.folder / "gateway.log").read_text().count("is refused") == 2)
        assert city.one(now)[:2] == (RECENT.fallback, "missing")
        assert int(city.collect()["live_values"]) == 0
        assert store.get(address) == good
        wait_until(lambda: city.one(now)[:2] == expected)
    finally:
        city.world.end()
