"""What is checked of a served model: one :class:`Check` for every question, with what was expected and found.

The wrong questions are made from the use case's own request schema, so any use case gets them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiphys.errors import PermanentError
from tiphys.release.records import Environment
from tiphys.serving.gateway_client import GatewayClient, Reply
from tiphys.serving.repository import TRITON_TYPES
from tiphys.serving.triton import TritonUser
from tiphys.usecase import Prediction, UseCase

if TYPE_CHECKING:
    from tiphys.usecase import Array

_TOO_LARGE = 17 * 1024
_OK = 200
_REFUSALS = ("[400]", "[404]", "INVALID_ARGUMENT", "NOT_FOUND")
"""How Triton says over HTTP and gRPC that the fault is the asker's."""

Tensors = Mapping[str, tuple[str, "Array"]]


@dataclass(frozen=True)
class Check:
    """One question and its outcome."""

    name: str
    asked: str
    expected: str
    found: str
    held: bool


def rows(use_case: UseCase, values: Mapping[str, Any]) -> Tensors:
    """Turn one list a feature into tensors [n, 1] for Triton."""
    return {
        each.name: (TRITON_TYPES[each.dtype], np.asarray(values[each.name], each.dtype).reshape(-1, 1))
        for each in use_case.features
    }


def image(staging: Environment, model: str, wanted: str) -> Check:
    """Hold the agent's word against the image: it says which one the serving version was taken from, by digest."""
    observed = staging.observed.get(model)
    found = "nothing" if observed is None else f"{observed.state} from {observed.image or 'no image'}"
    return Check("agent: serves the image", "which image is served", wanted, found, found == f"serving from {wanted}")


def known_rows(
    user: TritonUser, use_case: UseCase, reference: Mapping[str, Any], version: str, tolerance: float
) -> Check:
    """Ask a batch of known rows; the answers, and their intervals where it has some, must be the model's own."""
    names = [each for each in use_case.target.outputs if each in reference]
    worst, answered_by = 0.0, ""
    for name in names:
        expected = np.asarray(reference[name], np.float64)
        answers, answered_by = user.infer(use_case.name, rows(use_case, reference), name, version)
        off = np.abs(answers.reshape(-1) - expected) / np.maximum(1.0, np.abs(expected))
        worst = max(worst, float(off.max()) if np.isfinite(off).all() else np.inf)
    return Check(
        name=f"{user.protocol}: answers equal the model's own",
        asked=f"{len(reference[use_case.target.name])} known rows for {', '.join(names)}",
        expected=f"version {version}, off by at most {tolerance:g}",
        found=f"version {answered_by}, off by {worst:.2g}",
        held=answered_by == version and worst <= tolerance,
    )


def intervals(user: TritonUser, use_case: UseCase, reference: Mapping[str, Any], version: str) -> Check:
    """Ask known rows for their intervals: each answer lies within its own; a model of before intervals has none."""
    value, low, high = use_case.target.outputs
    found = {
        name: user.infer(use_case.name, rows(use_case, reference), name, version)[0].reshape(-1)
        for name in (value, low, high)
        if name in reference
    }
    if len(found) < len(use_case.target.outputs):
        return Check("intervals hold their answer", "known rows", "intervals, if it has any", "it has none", held=True)
    outside = ~((found[low] <= found[value]) & (found[value] <= found[high]))
    said = f"{int(outside.sum())} of {len(outside)} lie outside"
    return Check("intervals hold their answer", f"{len(outside)} known rows", "0 lie outside", said, not outside.any())


def wrong_tensors(user: TritonUser, use_case: UseCase, reference: Mapping[str, Any]) -> Iterator[Check]:
    """Ask with a wrong shape, a wrong type, an input missing and an unknown model: each is refused with a reason."""
    good = rows(use_case, {name: values[:1] for name, values in reference.items()})
    first = use_case.features[0].name
    kind, values = good[first]
    other = ("FP32", values.astype(np.float32)) if kind != "FP32" else ("INT64", values.astype(np.int64))
    wrong: dict[str, tuple[str, Tensors]] = {
        "wrong shape": (use_case.name, {**good, first: (kind, np.repeat(values, 2, axis=1))}),
        "wrong type": (use_case.name, {**good, first: other}),
        "input missing": (use_case.name, {name: each for name, each in good.items() if name != first}),
        "unknown model": (use_case.name + "_of_nobody", good),
    }
    for what, (model, tensors) in wrong.items():
        ask = functools.partial(user.infer, model, tensors, use_case.target.name)
        yield _refused(f"{user.protocol}: {what}", ask)


def _refused(name: str, ask: Callable[[], Any]) -> Check:
    try:
        found = f"an answer: {ask()}"
        held = False
    except PermanentError as error:
        found = str(error)
        held = any(each in found for each in _REFUSALS)
    return Check(name, "a question it must refuse", "a refusal with its reason", found[:500], held)


def examples(  # noqa: PLR0913, PLR0917 - whom to ask what, and what to hold it against
    gateway: GatewayClient, path: str, user: TritonUser, use_case: UseCase, reference: Mapping[str, Any], version: str
) -> Iterator[Check]:
    """Ask the gateway the use case's own examples: it must say what the model behind it says."""
    api = use_case.api
    for question in api.examples:
        reply = gateway.ask_when_mounted(path, question)
        row = api.to_features(api.request.model_validate_json(json.dumps(dict(question))))
        values = {name: [value] for name, value in {**row, **_live(use_case, reply)}.items()}
        said = Prediction(*_asked(user, use_case, values, reference, version), version=version, id="")
        expected = api.to_answer(said).model_dump(mode="json")
        yield Check(
            name="gateway: answers as the model",
            asked=json.dumps(dict(question)),
            expected=json.dumps(expected),
            found=f"{reply.status} {json.dumps(reply.body)}",
            held=reply.status == _OK and _alike(reply.body, expected),
        )


def _live(use_case: UseCase, reply: Reply) -> dict[str, float]:
    """What the gateway put in for the feature that nobody who asks can know."""
    name, _, value = reply.headers.get("x-tiphys-live", "").partition(";")[0].partition("=")
    return {name: float(value)} if use_case.recent is not None and name == use_case.recent.name else {}


def _asked(
    user: TritonUser, use_case: UseCase, values: Mapping[str, Any], reference: Mapping[str, Any], version: str
) -> tuple[float, float | None, float | None]:
    """What the model says to one row: the answer and, where it has one, its interval."""
    told = [
        float(user.infer(use_case.name, rows(use_case, values), name, version)[0].reshape(-1)[0])
        if name in reference
        else None
        for name in use_case.target.outputs
    ]
    value, low, high = told
    return value if value is not None else np.nan, low, high


def _alike(found: Any, expected: Any) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return bool(np.isclose(found, expected, rtol=1e-4))
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            _alike(found[name], expected[name]) for name in expected if name != "prediction_id"
        )
    return bool(found == expected)


def wrong_questions(gateway: GatewayClient, path: str, use_case: UseCase) -> Iterator[Check]:
    """Ask the gateway wrongly in every way that the request's schema allows to think of."""
    good = dict(use_case.api.examples[0])

    def check(name: str, status: int, names: str, *arguments: Any, **options: Any) -> Check:
        reply = gateway.ask(*arguments, **options)
        return _status(name, repr(arguments[-1])[:200], status, names, reply)

    yield check("no JSON", 400, "", path, b"{")
    yield check("no text", 400, "", path, b'{"a": "\xff"}')
    yield check("empty", 400, "", path, b"")
    yield check("a list", 422, "", path, [good])
    yield check("another media type", 415, "", path, good, kind="text/plain")
    yield check("too large", 413, "", path, b" " * _TOO_LARGE)
    yield check("another method", 405, "", path, good, method="PUT")
    yield check("unknown route", 404, "", path + "-of-nobody", good)
    if use_case.api.request.model_config.get("extra") == "forbid":
        yield check("unknown field", 422, "nobody", path, {**good, "nobody": 1})
    for name, wrong, why in _bad_values(use_case):
        body = {**good, name: wrong} if why != "missing" else {key: good[key] for key in good if key != name}
        yield check(f"{name} {why}", 422, name, path, body)


def _bad_values(use_case: UseCase) -> Iterator[tuple[str, Any, str]]:
    schema = use_case.api.request.model_json_schema()
    for name, each in schema["properties"].items():
        yield name, {"a": []}, "of another type"
        yield name, None, "null"
        if name in schema.get("required", ()):
            yield name, None, "missing"
        if isinstance(each.get("maximum"), int | float):
            yield name, each["maximum"] + 1, "too large"
        if isinstance(each.get("minimum"), int | float):
            yield name, each["minimum"] - 1, "too small"


def _status(name: str, asked: str, status: int, names: str, reply: Reply) -> Check:
    return Check(
        name=f"gateway: {name}",
        asked=asked,
        expected=f"{status} with a message" + (f" that names {names}" if names else ""),
        found=f"{reply.status} {reply.error}"[:500],
        held=reply.status == status and bool(reply.error) and names in reply.error,
    )
