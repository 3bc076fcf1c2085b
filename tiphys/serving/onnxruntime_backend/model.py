"""Triton's backend ``onnxruntime`` where there is no native one: a Python-based backend around ONNX Runtime.

Triton's Python stub loads this file for every model whose ``config.pbtxt`` says ``backend: "onnxruntime"``; the model
repository is the very same as for the native backend: ``config.pbtxt`` and ``1/model.onnx``. It runs in Triton's own
environment and knows nothing of this project.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb  # type: ignore[import-not-found]  # Triton's stub provides it

_MODEL_FILE = "model.onnx"
_LONGEST_MESSAGE = 2000


class TritonPythonModel:
    """One instance of one model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model and hold it against its configuration.

        Raises:
            TritonModelException: the file is missing, broken, or does not fit the configuration.
        """
        self._config = json.loads(args["model_config"])
        self._batched = int(self._config.get("max_batch_size", 0)) > 0
        self._outputs = [each["name"] for each in self._config["output"]]
        self._texts = {each["name"] for each in self._config["input"] if each["data_type"] == "TYPE_STRING"}
        folder = Path(args["model_repository"]) / args["model_version"]
        path = folder / (self._config.get("default_model_filename") or _MODEL_FILE)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=_options(self._config), providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            message = f"model {args['model_name']!r}: {path} is no model that ONNX Runtime loads: {error}"
            raise pb.TritonModelException(message) from error
        self._require_names(args["model_name"])

    def _require_names(self, model: str) -> None:
        pairs = (
            (
                "input",
                {each["name"] for each in self._config["input"]},
                {each.name for each in self._session.get_inputs()},
            ),
            ("output", set(self._outputs), {each.name for each in self._session.get_outputs()}),
        )
        for kind, configured, there in pairs:
            wrong = configured ^ there if kind == "input" else configured - there
            if wrong:
                message = (
                    f"model {model!r}: {kind}s of config.pbtxt and of the ONNX file differ in {sorted(wrong)}; "
                    f"the file has {sorted(there)}"
                )
                raise pb.TritonModelException(message)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer a batch of requests: those of one shape in one run, a failing run again one by one."""
        feeds = [self._feed(request) for request in requests]
        groups: dict[Any, list[int]] = defaultdict(list)
        for index, feed in enumerate(feeds):
            alone = len(feeds) == 1 or not self._batched or isinstance(feed, Exception)
            groups[index if alone else _shape(feed)].append(index)
        answers: list[Any] = [None] * len(requests)
        for members in groups.values():
            for index, answer in zip(members, self._answer([feeds[each] for each in members]), strict=True):
                answers[index] = self._response(requests[index], answer)
        return answers

    def _feed(self, request: Any) -> dict[str, Any] | Exception:
        """Arrays by name, without copying numbers; an exception for texts that are none."""
        feed = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        try:
            for name in self._texts:
                feed[name] = _text(feed[name])
        except (UnicodeDecodeError, KeyError) as error:
            return error
        return feed

    def _answer(self, feeds: list[Any]) -> list[list[Any] | Exception]:
        """Outputs for every feed, in their order; an exception for one that is none or that ONNX Runtime refuses."""
        if isinstance(feeds[0], Exception):
            return feeds
        try:
            if len(feeds) == 1:
                return [self._session.run(self._outputs, feeds[0])]
            joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
            results = self._session.run(self._outputs, joined)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this request's answer
            return [error] if len(feeds) == 1 else [answer for feed in feeds for answer in self._answer([feed])]
        rows = [len(next(iter(feed.values()))) for feed in feeds]
        if any(np.shape(result)[:1] != (sum(rows),) for result in results):  # then a row's answer cannot be told apart
            return [answer for feed in feeds for answer in self._answer([feed])]
        ends = np.cumsum(rows)[:-1]
        parts = [np.split(result, ends) for result in results]
        return [[part[index] for part in parts] for index in range(len(feeds))]

    def _response(self, request: Any, answer: list[Any] | Exception) -> Any:
        if isinstance(answer, Exception):
            message = f"ONNX Runtime refused the request: {answer}"[:_LONGEST_MESSAGE]
            return pb.InferenceResponse(output_tensors=[], error=pb.TritonError(message))
        wanted = set(request.requested_output_names())
        tensors = [
            pb.Tensor(name, _bytes(array)) for name, array in zip(self._outputs, answer, strict=True) if name in wanted
        ]
        return pb.InferenceResponse(output_tensors=tensors)


def _options(config: dict[str, Any]) -> onnxruntime.SessionOptions:
    """One thread for one run, unless the model asks for more as it would of the native backend."""
    parameters = {name: each["string_value"] for name, each in config.get("parameters", {}).items()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", "1"))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", "1"))
    return options


def _shape(feed: Any) -> Any:
    """What two requests must share to be joined along their first axis."""
    return frozenset((name, array.shape[1:], array.dtype) for name, array in feed.items())


def _text(array: Any) -> Any:
    return np.array([each.decode("utf-8") for each in array.ravel()], dtype=object).reshape(array.shape)


def _bytes(array: Any) -> Any:
    if array.dtype != object:
        return array
    return np.array([str(each).encode("utf-8") for each in array.ravel()], dtype=object).reshape(array.shape)
