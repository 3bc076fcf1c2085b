"""Whether Triton survives a JSON text: it is looked at, never changed, and what is odd about it is told.

Triton 2.51 is killed by a single request over HTTP whose JSON is nested 200,000 deep, or whose ``shape`` has a product that is
huge or overflows (tests/e2e/gateway/test_v2.py sends them); the same shapes over gRPC, or with binary data, do no harm.
What Triton's parser and Python's might read differently, names given twice and numbers that JSON does not have, is refused too.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

JSON_CAP = 2**18
"""Most bytes of JSON in a body, because it is read on the event loop; tensors may follow it as binary data."""
MOST_AXES = 8
MOST_ELEMENTS = 2**22
"""Most elements of a tensor: more than a body has bytes."""


class JsonError(ValueError):
    """A text that does not go on to Triton."""


def check(text: bytes) -> None:
    """Look at the JSON of a question.

    Raises:
        JsonError: it is no JSON, or Triton could come to harm.
    """
    if len(text) > JSON_CAP:
        raise JsonError(f"JSON has at most {JSON_CAP} bytes here: send tensors as binary data behind it")
    try:
        content = _DECODER.decode(text.decode())
    except RecursionError:
        raise JsonError("the JSON is nested too deep") from None
    except JsonError:
        raise
    except ValueError as error:
        raise JsonError(f"the body is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise JsonError("the body must be a JSON object")
    for kind in ("inputs", "outputs"):
        for tensor in _list_of_objects(content.get(kind, []), kind):
            _check_tensor(tensor)


def _check_tensor(tensor: dict[str, Any]) -> None:
    shape = tensor.get("shape", [])
    if not isinstance(shape, list):
        raise JsonError("a shape is a list of whole numbers")
    if len(shape) > MOST_AXES:
        raise JsonError(f"a shape has at most {MOST_AXES} numbers")
    for each in shape:
        if type(each) is not int or not 0 <= each <= MOST_ELEMENTS:
            raise JsonError(f"a shape is a list of whole numbers from 0 to {MOST_ELEMENTS}")
    if math.prod(shape) > MOST_ELEMENTS:
        raise JsonError(f"a tensor has at most {MOST_ELEMENTS} elements")
    parameters = tensor.get("parameters")
    if parameters is not None:
        _check_parameters(parameters)


def _check_parameters(parameters: Any) -> None:
    if not isinstance(parameters, dict):
        raise JsonError("parameters must be an object")
    if any(name.startswith("shared_memory") for name in parameters):
        raise JsonError("shared memory is not used here")
    size = parameters.get("binary_data_size", 0)
    if type(size) is not int or not 0 <= size <= MOST_ELEMENTS:
        raise JsonError(f"binary_data_size is a whole number from 0 to {MOST_ELEMENTS}")


def _list_of_objects(found: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise JsonError(f"{name} must be a list of objects")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonError("an object has a name twice")
    return found


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
