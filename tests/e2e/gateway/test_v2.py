"""The V2 inference protocol through the gateway: what real clients get, and what hostile ones do not."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped,unused-ignore]
import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
import urllib3
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from tests.e2e.conftest import _free_base
from tests.e2e.gateway.world import KEYS, POOL, World, kettle, wait_until
from tiphys.settings import StackSettings

pytestmark = pytest.mark.e2e

Infer = service_pb2.ModelInferRequest
RIDER = {"authorization": f"Bearer {KEYS['rider']}"}
TESTER = {"x-api-key": KEYS["tester"]}
LIMIT = 4 * 2**20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway, and one version in production."""
    folder = tmp_path_factory.mktemp("door")
    made = World(folder, StackSettings(home=folder / "home", port_base=_free_base(), java_home=""))
    try:
        made.serve("production", 30.0)
        made.start()
        wait_until(lambda: made.answers_from("production", "1"))
        yield made
    finally:
        made.stop()


def inputs(kinds: Any, rows: int = 3) -> list[Any]:
    """A batch of kettles."""
    litres, celsius = kinds.InferInput("litres", [rows, 1], "FP32"), kinds.InferInput("celsius", [rows, 1], "INT64")
    litres.set_data_from_numpy(np.linspace(0.1, 2.0, rows, dtype=np.float32).reshape(rows, 1))
    celsius.set_data_from_numpy(np.full((rows, 1), 20, np.int64))
    return [litres, celsius]


def stub(address: str) -> Any:
    """A plain gRPC client."""
    return service_pb2_grpc.GRPCInferenceServiceStub(
        grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)])
    )


def door(world: World) -> Any:
    """The gateway over gRPC."""
    return stub(f"127.0.0.1:{world.grpc_port}")


def message(**more: Any) -> Any:
    """A question of one row."""
    litres = Infer.InferInputTensor(name="litres", datatype="FP32", shape=[1, 1])
    celsius = Infer.InferInputTensor(name="celsius", datatype="INT64", shape=[1, 1])
    raw = [struct.pack("<f", 2.0), struct.pack("<q", 20)]
    return Infer(**{"model_name": "tiny", "inputs": [litres, celsius], "raw_input_contents": raw, **more})


def refused(call: Any, *arguments: Any, **more: Any) -> grpc.RpcError:
    """The error of a call."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **{"metadata": list(RIDER.items()), "timeout": 10, **more})
    return caught.value


def test_answers_over_grpc_are_tritons_own_bit_for_bit(world: World) -> None:
    """Raw tensors, named outputs, an id, and every version field as Triton fills it."""
    for question in (message(), message(id="x", outputs=[Infer.InferRequestedOutputTensor(name="seconds_low")])):
        ours, call = door(world).ModelInfer.with_call(question, metadata=list(RIDER.items()))
        question.model_version = "1"
        theirs = stub(world.tritons["production"].grpc).ModelInfer(question)
        assert ours.SerializeToString() == theirs.SerializeToString()
        assert {("x-tiphys-arm", "production"), ("x-tiphys-version", "1")} <= set(call.initial_metadata())


@pytest.mark.parametrize("binary", [True, False])
def test_answers_over_http_are_tritons_own_bit_for_bit(world: World, *, binary: bool) -> None:
    """With the binary extension and without."""
    given = inputs(over_http)
    if not binary:
        given[0].set_data_from_numpy(np.ones((3, 1), np.float32), binary_data=False)
        given[1].set_data_from_numpy(np.ones((3, 1), np.int64), binary_data=False)
    wanted = [over_http.InferRequestedOutput("seconds", binary_data=binary)]
    ours = over_http.InferenceServerClient(f"127.0.0.1:{world.port}").infer(
        "tiny", given, outputs=wanted, headers={**RIDER}
    )
    theirs = over_http.InferenceServerClient(world.tritons["production"].address).infer("tiny", given, outputs=wanted)
    assert ours.get_response() == theirs.get_response()
    assert ours.as_numpy("seconds").tobytes() == theirs.as_numpy("seconds").tobytes()


def test_both_clients_can_ask_what_they_ask_before_they_infer(world: World) -> None:
    """Live, ready, metadata and configuration."""
    for client in (
        over_http.InferenceServerClient(f"127.0.0.1:{world.port}"),
        over_grpc.InferenceServerClient(f"127.0.0.1:{world.grpc_port}"),
    ):
        assert client.is_server_live(headers={**RIDER})
        assert client.is_server_ready(headers={**RIDER})
        assert client.get_server_metadata(headers={**RIDER})
        assert client.is_model_ready("tiny", headers={**RIDER})
        assert client.is_model_ready("tiny", "1", headers={**RIDER})
        assert client.get_model_metadata("tiny", headers={**RIDER})
        assert client.get_model_config("tiny", headers={**RIDER})
        client.close()


def test_whatever_controls_or_reveals_is_not_there(world: World) -> None:
    """Repository, shared memory, traces, logs, statistics, streams."""
    client = door(world)
    for name in ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload", "ModelStatistics", "TraceSetting",
                 "LogSettings", "SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "CudaSharedMemoryStatus"):  # fmt: skip
        asked = getattr(service_pb2, f"{name}Request")()
        assert refused(getattr(client, name), asked).code() is grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.RpcError) as caught:
        next(client.ModelStreamInfer(iter([message()]), metadata=list(RIDER.items()), timeout=5))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    for path in ("/v2/repository/index", "/v2/models/tiny/../../repository/index", "/v2/models/stats/%2e%2e", "/v2/logging",
                 "/v2//models/tiny", "/v2/models/tiny%2Finfer", "/v2/systemsharedmemory/status", "/metrics"):  # fmt: skip
        for method in ("GET", "POST"):
            raw = urllib3.connection.HTTPConnection("127.0.0.1", world.port, timeout=5)
            raw.putrequest(method, path, skip_accept_encoding=True)
            raw.putheader("authorization", RIDER["authorization"])
            raw.putheader("content-length", "0")
            raw.endheaders()
            assert raw.sock.recv(12) == b"HTTP/1.1 404", path
            raw.close()


@pytest.mark.parametrize(
    "metadata", [[], [("authorization", "Bearer forged")], [("x-api-key", "")], [("authorization", "Basic x")]]
)
def test_who_has_no_key_is_not_authenticated(world: World, metadata: list[tuple[str, str]]) -> None:
    """Over both; and a rider may not ask staging."""
    assert refused(door(world).ModelInfer, message(), metadata=metadata).code() is grpc.StatusCode.UNAUTHENTICATED
    reply = POOL.request("POST", f"{world.url}/v2/models/tiny/infer", body=b"{}", headers=dict(metadata))
    assert reply.status == 401
    inside = [*RIDER.items(), ("tiphys-environment", "staging")]
    assert refused(door(world).ModelInfer, message(), metadata=inside).code() is grpc.StatusCode.PERMISSION_DENIED
    assert POOL.request("GET", f"{world.url}/staging/v2/models/tiny", headers={**RIDER}).status == 403


def test_a_tester_may_ask_any_environment_by_name(world: World) -> None:
    """What is not served there is not found; a name that is none is told."""
    for name, code in (
        ("production", None),
        ("staging", grpc.StatusCode.NOT_FOUND),
        ("moon", grpc.StatusCode.INVALID_ARGUMENT),
    ):
        metadata = [*TESTER.items(), ("tiphys-environment", name)]
        if code is None:
            assert door(world).ModelInfer(message(), metadata=metadata).model_version == "1"
        else:
            assert refused(door(world).ModelInfer, message(), metadata=metadata).code() is code


def test_a_quota_is_told_with_the_time_to_come_back(world: World) -> None:
    """RESOURCE_EXHAUSTED and 429."""
    slow = {"x-api-key": KEYS["slow"]}
    found = [refused_or_none(world, slow) for _ in range(6)]
    errors = [each for each in found if each is not None]
    assert errors
    assert {each.code() for each in errors} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert all(int(dict(each.trailing_metadata())["retry-after"]) >= 1 for each in errors)
    reply = POOL.request("GET", f"{world.url}/v2/models/tiny", headers=slow)
    assert (reply.status, "retry-after" in reply.headers) == (429, True)


def refused_or_none(world: World, headers: dict[str, str]) -> Any:
    """The error of a question, if it has one."""
    try:
        door(world).ModelInfer(message(), metadata=list(headers.items()), timeout=10)
    except grpc.RpcError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"model_name": "none"}, "NOT_FOUND"),
        ({"model_name": ""}, "NOT_FOUND"),
        ({"model_version": "77"}, "NOT_FOUND"),
        ({"model_version": "../1"}, "INVALID_ARGUMENT"),
        ({"raw_input_contents": [b""]}, "INVALID_ARGUMENT"),
        ({"raw_input_contents": [b"\0" * 5, b"\0" * 8]}, "INVALID_ARGUMENT"),
        ({"inputs": []}, "INVALID_ARGUMENT"),
        ({"inputs": [Infer.InferInputTensor(name="litres", datatype="FP32", shape=[-1, 1])]}, "INVALID_ARGUMENT"),
        ({"inputs": [Infer.InferInputTensor(name="litres", datatype="BYTES", shape=[1, 1])]}, "INVALID_ARGUMENT"),
        (
            {"inputs": [Infer.InferInputTensor(name="litres", datatype="FP32", shape=[2**62, 2**62])]},
            "INVALID_ARGUMENT",
        ),
        ({"outputs": [Infer.InferRequestedOutputTensor(name="no")]}, "INVALID_ARGUMENT"),
    ],
)
def test_malformed_tensors_are_told_in_tritons_own_words(world: World, more: dict[str, Any], code: str) -> None:
    """Wrong counts, sizes, types, shapes; Triton lives on."""
    assert refused(door(world).ModelInfer, message(**more)).code() is grpc.StatusCode[code]
    assert door(world).ModelInfer(message(), metadata=list(RIDER.items())).model_version == "1"


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"", None), (b"{", None), (b'{"inputs":[]}', None), (b'{"inputs":' + b"[" * 200_000, None), (b"x" * 300_000, None),
        (b'{"inputs":[{"name":"litres","shape":[1,1],"datatype":"FP32","parameters":{"binary_data_size":4}}]}\0\0', 96),
        (b'{"inputs":[{"name":"litres","shape":[1,1],"datatype":"FP32","parameters":{"binary_data_size":-4}}]}', 97),
        (b'{"inputs":[{"name":"litres","shape":[1,1],"datatype":"FP32","parameters":{"binary_data_size":1e18}}]}', 99),
        (b"{}", 99999999999), (b"{}", -1), (b"{}", 3), (b"\xff" * 100, None),
        (b'{"inputs":[{"name":"litres","shape":[-1,1],"datatype":"FP32","data":[1]}]}', None),
        (b'{"inputs":[{"name":"litres","shape":[9223372036854775807,9],"datatype":"FP32","data":[1]}]}', None),
        (b'{"inputs":[{"name":"litres","shape":[1,1],"datatype":"FP32","parameters":{"shared_memory_region":"x"}}]}', None),
    ],
)  # fmt: skip
def test_malformed_bodies_are_client_errors_and_triton_lives_on(world: World, body: bytes, length: int | None) -> None:
    """Truncated binaries, huge and negative lengths, JSON so deep that it would end Triton."""
    triton = world.tritons["production"].process
    headers = {**RIDER, **({"inference-header-content-length": str(length)} if length is not None else {})}
    reply = POOL.request("POST", f"{world.url}/v2/models/tiny/infer", body=body, headers=headers)
    assert 400 <= reply.status <= 500, reply.data
    assert json.loads(reply.data)["error"]
    assert triton is not None
    assert triton.poll() is None
    assert POOL.request("GET", f"{world.url}/v2/models/tiny/ready", headers={**RIDER}).status == 200


def test_a_message_over_the_limit_is_refused_and_one_below_it_is_asked(world: World) -> None:
    """4 MiB, over both protocols; compressed ones are not taken."""
    for size, code in ((LIMIT - 200, "INVALID_ARGUMENT"), (LIMIT + 1, "RESOURCE_EXHAUSTED")):
        error = refused(door(world).ModelInfer, message(raw_input_contents=[b"\0" * size, b"\0" * 8]))
        assert error.code() is grpc.StatusCode[code]
    url = f"{world.url}/v2/models/tiny/infer"
    assert POOL.request("POST", url, body=b" " * (LIMIT + 1), headers={**RIDER}).status == 413
    assert POOL.request("POST", url, body=b"x", headers={**RIDER, "content-encoding": "gzip"}).status == 415
    error = refused(door(world).ModelInfer, message(id="x" * 1000), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_bytes_that_are_no_message_are_invalid(world: World) -> None:
    """Malformed heads never reach Triton."""
    channel = grpc.insecure_channel(f"127.0.0.1:{world.grpc_port}")
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    for content in (b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x04ti", b"\x0b", b"\x1a\x00" * 5000):
        assert refused(call, content).code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_deadline_is_the_callers_own(world: World) -> None:
    """A model server that hangs: the caller hears when its time is over, others' places are given back."""
    with world.tritons["production"].stopped():
        assert refused(door(world).ModelInfer, message(), timeout=0.2).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: refused_or_none(world, RIDER) is None)


def test_many_callers_at_once_get_their_own_answers(world: World) -> None:
    """No answer goes to another's stream."""
    client = door(world)

    def ask(litres: int) -> bool:
        raw = [struct.pack("<f", litres), struct.pack("<q", 20)]
        answer = client.ModelInfer(message(id=str(litres), raw_input_contents=raw), metadata=list(RIDER.items()))
        (seconds,) = struct.unpack("<f", answer.raw_output_contents[0])
        return bool(answer.id == str(litres) and seconds == 30.0 * litres)

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask, range(1, 500)))


def test_a_canary_answers_tensor_clients_that_name_it_and_no_others(world: World) -> None:
    """Over both protocols: its share is of riders, and a canary that is gone costs nobody else an answer."""
    world.serve("canary", onnx=kettle(60.0), share=1.0)
    http = over_http.InferenceServerClient(f"127.0.0.1:{world.port}")
    named, url = [*TESTER.items(), ("tiphys-environment", "canary")], f"{world.url}/canary/v2/models/tiny"
    wait_until(lambda: POOL.request("GET", url, headers=TESTER).headers.get("x-tiphys-version") == "2")
    assert door(world).ModelInfer(message(), metadata=named).model_version == "2"
    for is_there in (True, False):
        if not is_there:
            world.tritons["canary"].kill()
        answer, call = door(world).ModelInfer.with_call(message(), metadata=list(RIDER.items()))
        assert answer.model_version == "1"
        assert ("x-tiphys-arm", "production") in call.initial_metadata()
        assert http.infer("tiny", inputs(over_http), headers={**RIDER}).get_response()["model_version"] == "1"
    assert POOL.request("GET", url, headers=TESTER).status == 503
    assert refused(door(world).ModelInfer, message(), metadata=named).code() is grpc.StatusCode.UNAVAILABLE
    assert world.arms()["breakers"]["canary"]["tiny"]["state"] == "closed"
    world.agents["canary"].say("tiny")


def test_a_promotion_and_a_rollback_move_tensor_clients_too(world: World) -> None:
    """Who names no version gets the one on the agent's page."""
    world.say("production", world.put("production", 31.0, beside=True))
    wait_until(lambda: door(world).ModelInfer(message(), metadata=list(RIDER.items())).model_version == "3")
    world.say("production", "1")
    wait_until(lambda: door(world).ModelInfer(message(), metadata=list(RIDER.items())).model_version == "1")


def test_a_killed_triton_is_unavailable_and_comes_back(world: World, tmp_path: Path) -> None:
    """UNAVAILABLE and 503, each with the time to come back; no restart of the gateway."""
    world.tritons["production"].kill()
    error = refused(door(world).ModelInfer, message())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    wait_until(lambda: dict(refused(door(world).ModelInfer, message()).trailing_metadata()).get("retry-after") == "1")
    reply = POOL.request("GET", f"{world.url}/v2/models/tiny", headers={**RIDER})
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    with pytest.raises(InferenceServerException):
        over_http.InferenceServerClient(f"127.0.0.1:{world.port}").infer("tiny", inputs(over_http), headers={**RIDER})
    world.tritons["production"].again()
    wait_until(lambda: refused_or_none(world, RIDER) is None)
