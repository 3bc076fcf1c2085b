"""The one door to Triton: control of its models, and tritonclient for those who ask as a user would.

The control half needs only urllib3 and, once it loads something, grpc, because an agent that sits idle beside every Triton has
to be small. It knows nothing of where models come from.

Models are loaded over gRPC: Triton 2.51 answers ``load`` over HTTP within one of its few HTTP threads, and every kept
connection of that thread stands still until the model is there (measured: 0.6 to 2 s; over gRPC no question took longer than 40 ms).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import urllib3

from tiphys.errors import PermanentError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

_LOAD_SECONDS = 120.0
_ASK_SECONDS = 2.0
_OK = 200
_BROKEN = 500
_LOAD = "/inference.GRPCInferenceService/RepositoryModelLoad"
_UNLOAD = "/inference.GRPCInferenceService/RepositoryModelUnload"
_MODEL_NAME = b"\x12"
"""Begins field 2, ``model_name``, of a request to load or to unload; a length of one byte follows."""


class TritonAwayError(RetryableError):
    """Triton does not answer, or broke off while it was asked."""


class BrokenModelError(PermanentError):
    """Triton answers, and says that the model itself fails."""


class TritonControl:
    """Load and watch models of a Triton in explicit model control mode."""

    def __init__(self, address: str, grpc: str = "") -> None:
        """Remember the addresses, ``HOST:PORT``; who only watches and asks needs none for gRPC."""
        self.address = address
        self._grpc = grpc
        self._pool = urllib3.PoolManager(retries=False, maxsize=2)

    def live(self) -> bool:
        """Say whether the server answers at all."""
        return self._status("/v2/health/live") == _OK

    def ready(self, model: str, version: str) -> bool:
        """Say whether that version answers requests now."""
        return self._status(f"/v2/models/{model}/versions/{version}/ready") == _OK

    def load(self, model: str) -> None:
        """Load what the model repository has for ``model``; returns when it is ready.

        Raises:
            PermanentError: Triton refuses it, and says why.
            TritonAwayError: Triton does not answer.
        """
        self._change(_LOAD, model, f"cannot load {model!r}")

    def unload(self, model: str) -> None:
        """Let go of all versions of ``model``, which answers no more. Raises as :meth:`load`."""
        self._change(_UNLOAD, model, f"cannot unload {model!r}")

    def _change(self, method: str, model: str, failure: str) -> None:
        import grpc  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - 12 MB that only a load wants

        with grpc.insecure_channel(self._grpc) as channel:  # a new one: one that failed waits before it tries again
            change = channel.unary_unary(method)
            try:
                change(_MODEL_NAME + bytes([len(model)]) + model.encode(), timeout=_LOAD_SECONDS)
            except grpc.RpcError as error:
                said = error.details() or error.code().name
                if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                    message = f"Triton at {self._grpc} does not answer: {said}"
                    raise TritonAwayError(message) from error
                message = f"Triton at {self._grpc} {failure}: {said}"
                raise PermanentError(message) from error

    def ask(
        self, model: str, inputs: Mapping[str, tuple[str, float]], version: str = "", *, timeout: float = _ASK_SECONDS
    ) -> tuple[float, str]:
        """Ask for one row: input name -> (Triton's type, value). Returns the first output and the version that gave it.

        Raises:
            BrokenModelError: the model fails.
            PermanentError: Triton refuses the question.
            RetryableError: it does not answer.
        """
        tensors = [
            {"name": name, "datatype": kind, "shape": [1, 1], "data": [value]} for name, (kind, value) in inputs.items()
        ]
        which = f"/versions/{version}" if version else ""
        url = f"http://{self.address}/v2/models/{model}{which}/infer"
        try:
            reply = self._pool.request("POST", url, body=json.dumps({"inputs": tensors}), timeout=timeout)
        except urllib3.exceptions.HTTPError as error:
            message = f"Triton at {self.address} does not answer: {error}"
            raise TritonAwayError(message) from error
        if reply.status != _OK:
            message = f"Triton at {self.address} does not answer for {model!r}: {_said(reply.data)}"
            raise (BrokenModelError if reply.status == _BROKEN else PermanentError)(message)
        found = json.loads(reply.data)
        return float(found["outputs"][0]["data"][0]), str(found["model_version"])

    def _status(self, path: str) -> int:
        try:
            return self._pool.request("GET", f"http://{self.address}{path}", timeout=_ASK_SECONDS).status
        except urllib3.exceptions.HTTPError:
            return 0


class TritonUser:
    """Ask a Triton for predictions through tritonclient, over HTTP or gRPC."""

    def __init__(self, protocol: Literal["http", "grpc"], address: str, *, timeout: float = 5.0) -> None:
        """Connect to ``HOST:PORT``."""
        self._address = address
        if protocol == "http":
            import tritonclient.http as client  # noqa: PLC0415 - brings gevent, which only this half wants

            self._client = client.InferenceServerClient(address, network_timeout=timeout, connection_timeout=timeout)
            self._options: dict[str, Any] = {}
        else:
            import tritonclient.grpc as client  # noqa: PLC0415

            self._client = client.InferenceServerClient(address)
            self._options = {"client_timeout": timeout}
        self._kinds = client
        self.protocol = protocol

    def infer(
        self, model: str, inputs: Mapping[str, tuple[str, npt.NDArray[Any]]], output: str, version: str = ""
    ) -> tuple[npt.NDArray[Any], str]:
        """Ask for a batch: input name -> (Triton's type, array). Returns the output and the version that answered.

        Without ``version`` Triton answers with the newest that it has.

        Raises:
            PermanentError: Triton refuses the request, and says why.
            RetryableError: it does not answer.
        """
        import tritonclient.utils as utils  # noqa: PLC0415, PLR0402

        given = []
        for name, (kind, values) in inputs.items():
            one = self._kinds.InferInput(name, list(values.shape), kind)
            one.set_data_from_numpy(values)
            given.append(one)
        try:
            answer = self._client.infer(model, given, model_version=version, **self._options)
        except OSError as error:
            raise self._away(error) from error
        except utils.InferenceServerException as error:
            if error.status() in {"StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED"}:
                raise self._away(error) from error
            message = f"Triton refuses the request over {self.protocol}: {error}"
            raise PermanentError(message) from error
        found = answer.get_response()
        answered_by = found["model_version"] if isinstance(found, dict) else found.model_version
        return answer.as_numpy(output), str(answered_by)

    def _away(self, error: Exception) -> TritonAwayError:
        return TritonAwayError(f"Triton at {self._address} does not answer over {self.protocol}: {error}")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _said(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return data[:300].decode(errors="replace")
