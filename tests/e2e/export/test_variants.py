"""Variants of a real model, each measured in a process of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from components.export.interval import Band
from components.export.onnx_export import check, to_onnx
from components.export.variants import make
from components.export.variants.table import KINDS, Bench, Kind, Prices, Variant, table
from tests.usecases.tiny.model import CONFIG, build
from tiphys.usecase import Examples, UseCase

pytestmark = pytest.mark.e2e

TINY = UseCase("tests.usecases.tiny")
BAND = Band(np.array([100.0], np.float32), np.array([-2, -20], np.float32), np.array([1, 10], np.float32), 0.0)
BENCH = Bench(Prices(core_hour=3.6, gpu_hour=36.0, device_hour=0.36), seconds=0.05)


@pytest.fixture(scope="module")
def model() -> bytes:
    """The kettle's network with random weights, exported."""
    torch.manual_seed(1)
    made = build(CONFIG)
    made.pace.fill_(300.0)
    torch.nn.init.normal_(made.deep[-1].weight, std=0.5)
    return to_onnx(made, TINY, BAND)


@pytest.fixture(scope="module")
def rows() -> Examples:
    """Kettles and how long they took."""
    chance = np.random.default_rng(1)
    features = {"litres": chance.uniform(0.1, 2, 300).astype(np.float32), "celsius": chance.integers(5, 60, 300)}
    return Examples(features, chance.uniform(10, 600, 300).astype(np.float32), np.zeros(300, np.int32))


@pytest.fixture(scope="module")
def made(model: bytes, rows: Examples) -> dict[str, tuple[Variant, bytes]]:
    """The whole table."""
    calibration = {name: each[:100].reshape(-1, 1) for name, each in rows.features.items()}
    return table(model, calibration, rows, BENCH)


def test_every_kind_is_in_the_table_measured_or_with_the_reason(made: dict[str, tuple[Variant, bytes]]) -> None:
    """None is left out, and none that was not run has a figure."""
    assert list(made) == [each.name for each in KINDS]
    for variant, _ in made.values():
        told = variant.told()
        assert (told.keys() == {"name", "reason", "served", "gpu"}) == bool(variant.reason)
    for name in ("onnx-fp32", "onnx-optimised", "onnx-int8-static", "onnx-int8-dynamic", "onnx-fp16"):
        assert made[name][0].measured, made[name][0].reason


def test_what_onnx_runtime_runs_is_a_valid_model_with_the_same_questions(
    made: dict[str, tuple[Variant, bytes]],
) -> None:
    """Names and types of inputs and outputs are those of the model: Triton's configuration fits them all."""

    def signature(content: bytes) -> list[tuple[str, int]]:
        graph = onnx.load_from_string(content).graph
        return [(each.name, each.type.tensor_type.elem_type) for each in (*graph.input, *graph.output)]

    plain = made["onnx-fp32"][1]
    for variant, content in made.values():
        if variant.measured and variant.served:
            check(content)
            assert signature(content) == signature(plain)


def test_figures_are_those_of_the_variant(made: dict[str, tuple[Variant, bytes]], rows: Examples) -> None:
    """Error and difference are what its file answers; a lossless one has none, no loss is larger than the bound."""
    session = onnxruntime.InferenceSession(made["onnx-fp16"][1], providers=["CPUExecutionProvider"])
    found = session.run(["seconds"], {name: each.reshape(-1, 1) for name, each in rows.features.items()})[0][:, 0]
    half, plain = made["onnx-fp16"][0], made["onnx-fp32"][0]
    assert half.mae == pytest.approx(float(np.abs(found - rows.target).mean()), rel=1e-6)
    assert made["onnx-optimised"][0].worst_difference == pytest.approx(0.0, abs=1e-2)
    assert plain.loss == plain.loss_at_most == 0.0
    for variant, _ in made.values():
        if variant.measured:
            assert abs(variant.loss or 0.0) <= (variant.loss_at_most or 0.0) + 1e-12
            assert (variant.size_mb or 0) > 0


def test_costs_follow_from_the_prices(made: dict[str, tuple[Variant, bytes]]) -> None:
    """An hour of the device costs a tenth of a core's here, so an answer does, too."""
    plain = made["onnx-fp32"][0]
    assert plain.cost_one_by_one is not None
    assert plain.cost_on_device == pytest.approx(plain.cost_one_by_one / 10)
    assert 0 < (plain.cost_in_batches or 0.0) < plain.cost_one_by_one


def test_a_variant_that_cannot_be_made_or_loaded_is_a_row_with_the_reason(model: bytes, rows: Examples) -> None:
    """The step goes on with the others; what the tool or the runtime said stands in the table."""

    def broken(_: bytes, __: Any) -> bytes:
        message = "no such operator"
        raise ValueError(message)

    kinds = (KINDS[0], Kind("cannot", "onnxruntime", broken), Kind("garbage", "onnxruntime", lambda *_: b"no model"))
    found = table(model, {}, rows, BENCH, kinds)
    assert found["cannot"][0].reason == "cannot be made: ValueError: no such operator"
    assert "InvalidProtobuf" in found["garbage"][0].reason
    assert found["onnx-fp32"][0].measured


def test_int8_keeps_its_weights_by_channel_and_leaves_the_interval_alone(model: bytes, rows: Examples) -> None:
    """Scales of a matrix are a vector; the ends of the interval are what the band says of the variant's own answer."""
    asked = {name: each.reshape(-1, 1) for name, each in rows.features.items()}
    content = make.static_int8(model, asked)
    scales = [each for each in onnx.load_from_string(content).graph.initializer if each.name.endswith("weight_scale")]
    assert any(each.dims and each.dims[0] > 1 for each in scales)
    value, low, high = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, asked)
    expected_low, expected_high = BAND.around(value[:, 0])
    np.testing.assert_allclose(low[:, 0], expected_low, rtol=1e-5)
    np.testing.assert_allclose(high[:, 0], expected_high, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["onnx-cuda", "onnx-tensorrt", "tensorrt-engine"])
def test_on_a_gpu_the_answers_are_alike(name: str, model: bytes, rows: Examples) -> None:
    """CUDA, TensorRT behind ONNX Runtime, and an engine built here; needs onnxruntime-gpu and tensorrt."""
    kinds = (KINDS[0], *(each for each in KINDS if each.name == name))
    found = table(model, {}, rows, replace(BENCH, seconds=1.0), kinds)[name][0]
    assert found.measured, found.reason
    assert (found.loss_at_most or 1.0) < 0.01
