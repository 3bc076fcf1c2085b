"""Ask Triton for one row over gRPC, as fast as it goes: one channel, a request written by hand, a deadline.

A request is a constant prefix (model, inputs, shapes) followed by one raw value an input: protocol buffers that are
concatenated are merged, so the prefix is serialised once. It knows no HTTP and no use case.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import grpc  # type: ignore[import-untyped,unused-ignore]
import grpc.aio  # type: ignore[import-untyped,unused-ignore]
from tritonclient.grpc import service_pb2

from tiphys.serving.repository import TRITON_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tiphys.usecase import Feature

_SERVICE = "/inference.GRPCInferenceService/"
_PACKING = {"int64": "<q", "float32": "<f"}
_RAW_INPUT_TAG = b"\x3a"
"""Field 7 of ModelInferRequest, raw_input_contents, as length-delimited bytes."""
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]


class InferenceError(Exception):
    """Triton gave no usable answer."""

    def __init__(self, code: str, message: str) -> None:
        """Keep a short code beside the message: ``timeout``, ``unavailable``, ``not_loaded`` or ``bad_answer``."""
        super().__init__(message)
        self.code = code


_CODES = {
    grpc.StatusCode.DEADLINE_EXCEEDED: ("timeout", "the model server took too long"),
    grpc.StatusCode.NOT_FOUND: ("not_loaded", "no version of the model is being served"),
}


def packer(model: str, features: Sequence[Feature], output: str) -> Callable[[Mapping[str, int | float]], bytes]:
    """Return a function that writes one row as a ModelInferRequest for ``model``."""
    prefix = service_pb2.ModelInferRequest(
        model_name=model,
        inputs=[
            service_pb2.ModelInferRequest.InferInputTensor(
                name=each.name, datatype=TRITON_TYPES[each.dtype], shape=[1, 1]
            )
            for each in features
        ],
        outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name=output)],
    ).SerializeToString()
    packing = [(each.name, struct.Struct(_PACKING[each.dtype])) for each in features]
    tags = [_RAW_INPUT_TAG + bytes([each.size]) for _, each in packing]

    def pack(row: Mapping[str, int | float]) -> bytes:
        values = [tag + each.pack(row[name]) for tag, (name, each) in zip(tags, packing, strict=True)]
        return b"".join([prefix, *values])

    return pack


class Inference:
    """One Triton."""

    def __init__(self, address: str, deadline: float) -> None:
        """Open the channel to ``HOST:PORT``; each answer has ``deadline`` seconds."""
        self.address = address
        self._deadline = deadline
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._infer = self._channel.unary_unary(
            _SERVICE + "ModelInfer", response_deserializer=service_pb2.ModelInferResponse.FromString
        )
        self._ready = self._channel.unary_unary(
            _SERVICE + "ModelReady",
            request_serializer=service_pb2.ModelReadyRequest.SerializeToString,
            response_deserializer=service_pb2.ModelReadyResponse.FromString,
        )

    async def ask(self, request: bytes) -> tuple[float, str]:
        """Return the prediction for one packed row and the version that made it.

        Raises:
            InferenceError: there is no usable answer in time.
        """
        try:
            answer = await self._infer(request, timeout=self._deadline)
        except grpc.aio.AioRpcError as error:
            code, message = _CODES.get(error.code(), ("unavailable", "the model server cannot answer"))
            raise InferenceError(code, f"{message} ({error.details()})") from error
        try:
            (prediction,) = struct.unpack("<f", answer.raw_output_contents[0])
        except (IndexError, struct.error):
            prediction = math.nan
        if not math.isfinite(prediction):
            text = f"version {answer.model_version} answered with no finite number"
            code = "bad_answer"
            raise InferenceError(code, text)
        return prediction, answer.model_version

    async def ready(self, model: str) -> bool:
        """Say whether any version of ``model`` answers."""
        try:
            answer = await self._ready(service_pb2.ModelReadyRequest(name=model), timeout=self._deadline)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.ready)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()
