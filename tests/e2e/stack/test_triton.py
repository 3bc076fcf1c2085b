"""Triton hosts ONNX models with a plain repository: ``backend: "onnxruntime"`` and ``1/model.onnx``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tritonclient import grpc, http
from tritonclient.utils import InferenceServerException

from tiphys.stack.layout import Layout

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = pytest.mark.e2e

CONFIG = """\
backend: "onnxruntime"
max_batch_size: 64
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }, { name: "word" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "total" data_type: TYPE_FP32 dims: [ 1 ] }, { name: "echo" data_type: TYPE_STRING dims: [ 1 ] } ]
dynamic_batching { max_queue_delay_microseconds: 20000 }
instance_group [ { count: 1 kind: KIND_CPU } ]
"""


def onnx_model() -> onnx.ModelProto:
    """Sums three numbers a row, and gives a text back."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "axis"], ["total"], keepdims=1),
        helper.make_node("Identity", ["word"], ["echo"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sum",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("word", TensorProto.STRING, ["n", 1]),
        ],
        [
            helper.make_tensor_value_info("total", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("echo", TensorProto.STRING, ["n", 1]),
        ],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture
def repository(stack: Stack) -> Iterator[Path]:
    """Model ``tried`` in the staging repository, not yet loaded."""
    folder = Layout.of(stack.settings).data("triton-staging") / "models" / "tried"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(CONFIG)
    onnx.save(onnx_model(), folder / "1" / "model.onnx")
    yield folder
    http.InferenceServerClient(stack.config["TIPHYS_STAGING_HTTP"]).unload_model("tried")
    shutil.rmtree(folder)


def ask(kind: Any, client: Any, rows: np.ndarray[Any, Any], word: str = "ahoj ⚓") -> Any:
    """One request with a word for every row."""
    words = np.array([[word.encode()]] * len(rows), dtype=object)
    inputs = [kind.InferInput("x", list(rows.shape), "FP32"), kind.InferInput("word", list(words.shape), "BYTES")]
    inputs[0].set_data_from_numpy(rows)
    inputs[1].set_data_from_numpy(words)
    return client.infer("tried", inputs)


@pytest.mark.parametrize("kind", [http, grpc])
def test_it_answers_over_both_protocols(stack: Stack, repository: Path, kind: Any) -> None:
    """Numbers and texts come back as the model computes them."""
    name = "TIPHYS_STAGING_HTTP" if kind is http else "TIPHYS_STAGING_GRPC"
    client = kind.InferenceServerClient(stack.config[name])
    client.load_model("tried")
    answer = ask(kind, client, np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    assert answer.as_numpy("total").tolist() == [[6.0], [15.0]]
    assert [each.decode() for each in answer.as_numpy("echo").ravel()] == ["ahoj ⚓"] * 2


def test_requests_of_one_batch_get_their_own_answers(stack: Stack, repository: Path) -> None:
    """Requests of different sizes that Triton joins are split again without mixing."""
    grpc.InferenceServerClient(stack.config["TIPHYS_STAGING_GRPC"]).load_model("tried")

    def one(number: int) -> bool:
        rows = np.full((number % 4 + 1, 3), number, np.float32)
        with grpc.InferenceServerClient(stack.config["TIPHYS_STAGING_GRPC"]) as client:
            answer = ask(grpc, client, rows, f"w{number}")
        totals, words = answer.as_numpy("total"), answer.as_numpy("echo")
        return bool((totals == 3 * number).all()) and {each.decode() for each in words.ravel()} == {f"w{number}"}

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(64)))
    with http.InferenceServerClient(stack.config["TIPHYS_STAGING_HTTP"]) as client:
        told = client.get_inference_statistics("tried")["model_stats"][0]
    assert told["execution_count"] < told["inference_count"]


def test_a_wrong_shape_gets_a_clear_error(stack: Stack, repository: Path) -> None:
    """Triton holds requests against the configuration; the model is not asked."""
    client = grpc.InferenceServerClient(stack.config["TIPHYS_STAGING_GRPC"])
    client.load_model("tried")
    with pytest.raises(InferenceServerException, match="unexpected shape for input 'x'"):
        ask(grpc, client, np.zeros((1, 4), np.float32))


def test_a_text_that_is_none_is_refused_alone(stack: Stack, repository: Path) -> None:
    """Bytes that are no UTF-8 are that request's fault: those that were joined with it get their answers."""
    grpc.InferenceServerClient(stack.config["TIPHYS_STAGING_GRPC"]).load_model("tried")

    def one(number: int) -> str:
        rows, word = np.full((1, 3), number, np.float32), b"\xff\xfe" if number % 4 == 0 else b"good"
        inputs = [grpc.InferInput("x", [1, 3], "FP32"), grpc.InferInput("word", [1, 1], "BYTES")]
        inputs[0].set_data_from_numpy(rows)
        inputs[1].set_data_from_numpy(np.array([[word]], dtype=object))
        with grpc.InferenceServerClient(stack.config["TIPHYS_STAGING_GRPC"]) as client:
            try:
                return str(client.infer("tried", inputs).as_numpy("total")[0, 0])
            except InferenceServerException as error:
                return error.message()

    with ThreadPoolExecutor(16) as pool:
        said = list(pool.map(one, range(32)))
    for number, answer in enumerate(said):
        assert ("codec can't decode" in answer) if number % 4 == 0 else (answer == str(3.0 * number)), said


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.4e38])
def test_numbers_that_are_none_go_through_and_change_no_other_answer(
    stack: Stack, repository: Path, value: float
) -> None:
    """What a model makes of them is its matter; the server goes on."""
    client = grpc.InferenceServerClient(stack.config["TIPHYS_STAGING_GRPC"])
    client.load_model("tried")
    found = ask(grpc, client, np.array([[value] * 3, [1, 2, 3]], np.float32)).as_numpy("total")
    assert not np.isfinite(found[0, 0])
    assert found[1, 0] == 6.0


@pytest.mark.parametrize("rows", [0, 65])
def test_no_rows_and_too_many_rows_are_refused(stack: Stack, repository: Path, rows: int) -> None:
    """The model's batch is 1 to 64 rows; the server goes on."""
    client = grpc.InferenceServerClient(stack.config["TIPHYS_STAGING_GRPC"])
    client.load_model("tried")
    with pytest.raises(InferenceServerException):
        ask(grpc, client, np.zeros((rows, 3), np.float32))
    assert ask(grpc, client, np.ones((1, 3), np.float32)).as_numpy("total").tolist() == [[3.0]]


def test_a_broken_model_is_refused_by_name(stack: Stack, repository: Path) -> None:
    """A file that is no ONNX is not loaded, and the message says which file."""
    (repository / "1" / "model.onnx").write_bytes(b"no model")
    client = http.InferenceServerClient(stack.config["TIPHYS_STAGING_HTTP"])
    with pytest.raises(InferenceServerException, match=r"tried/1/model\.onnx is no model"):
        client.load_model("tried")


def test_names_that_differ_are_refused(stack: Stack, repository: Path) -> None:
    """A configuration that names other outputs than the file is refused when it is loaded, not when it is asked."""
    (repository / "config.pbtxt").write_text(CONFIG.replace('"total"', '"sum"'))
    client = http.InferenceServerClient(stack.config["TIPHYS_STAGING_HTTP"])
    with pytest.raises(
        InferenceServerException, match=r"outputs .* differ in \['sum'\]; the file has \['echo', 'total'\]"
    ):
        client.load_model("tried")


def test_production_is_another_server(stack: Stack, repository: Path) -> None:
    """What staging loads, production does not know."""
    http.InferenceServerClient(stack.config["TIPHYS_STAGING_HTTP"]).load_model("tried")
    assert not http.InferenceServerClient(stack.config["TIPHYS_PRODUCTION_HTTP"]).is_model_ready("tried")
