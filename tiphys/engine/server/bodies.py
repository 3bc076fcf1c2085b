"""Reads a request's body: no more than a cap, no longer than a deadline, and nothing but a JSON object of sane depth."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request

from tiphys.engine.errors import ManifestError
from tiphys.engine.nesting import check_tree
from tiphys.engine.server.refusals import Code, Refusal, invalid

Json = dict[str, Any]
LARGEST = 4 << 20
"""Bytes of a body."""
PATIENCE = 20.0
"""Seconds for a whole body."""
_THROWN = 64 << 20
"""Bytes of a body that is too large which are read and thrown away, for no longer than _LINGER seconds."""
_LINGER = 5.0


async def read_object(request: Request, largest: int = LARGEST, patience: float = PATIENCE) -> Json:
    """The body as a JSON object; an empty one where there is no body. Raises Refusal."""
    found = parse(await read_bytes(request, largest, patience))
    if not isinstance(found, dict):
        raise invalid(f"the body is a {type(found).__name__}: send a JSON object")
    return found


async def read_bytes(request: Request, largest: int = LARGEST, patience: float = PATIENCE) -> bytes:
    """The body as it came. Raises Refusal: too large (413), too slow (408), cut off."""
    declared = request.headers.get("content-length", "")
    chunks, size = [], 0
    try:
        async with asyncio.timeout(patience):
            if declared.isdecimal() and int(declared[:20]) > largest:
                raise await _too_large(request, largest)
            async for chunk in request.stream():
                size += len(chunk)
                if size > largest:
                    raise await _too_large(request, largest)
                chunks.append(chunk)
    except TimeoutError:
        raise Refusal(
            Code.DEADLINE_EXCEEDED,
            f"the body did not come within {patience:.0f} s: send it anew",
            408,
            {"connection": "close"},
        ) from None
    except ClientDisconnect:
        raise invalid("the body was cut off") from None
    return b"".join(chunks)


def parse(body: bytes) -> Any:
    """The JSON of a body; {} for none. Raises Refusal: no UTF-8, no JSON, too deep, numbers that JSON has not."""
    if not body.strip():
        return {}
    try:
        text = body.decode("utf-8")
        found = json.loads(text, parse_constant=_refuse_constant)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a surrogate pair can't be written anywhere
        check_tree(found, "the body")
    except UnicodeError:
        raise invalid("the body is not UTF-8: send JSON in UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is not JSON: {error}") from None
    except ManifestError as error:
        raise invalid(str(error)) from None
    return found


def part(body: Json, name: str) -> Json:
    """An object within the body; an empty one where it is not given. Raises Refusal."""
    found = body.get(name)
    if found is not None and not isinstance(found, dict):
        raise invalid(f"{name}: an object is needed here")
    return found or {}


def text(body: Json, name: str) -> str:
    """A text within the body; empty where it is not given. Raises Refusal."""
    found = body.get(name)
    if found is not None and not isinstance(found, str):
        raise invalid(f"{name}: a text is needed here")
    return found or ""


def flag(body: Json, name: str) -> bool:
    """A boolean within the body; False where it is not given. Raises Refusal."""
    found = body.get(name)
    if found is not None and not isinstance(found, bool):
        raise invalid(f"{name}: true or false is needed here")
    return bool(found)


def assignments(body: Json, name: str) -> dict[str, str]:
    """A list of `NAME=VALUE` within the body. Raises Refusal."""
    found = body.get(name) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise invalid(f"{name}: a list of texts NAME=VALUE is needed here")
    return dict(_assignment(each) for each in found)


def _assignment(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise invalid(f"expected parameter of the form: NAME=VALUE. Received: {text[:200]}")
    return key, value


def _refuse_constant(name: str) -> Any:
    msg = f"JSON has no {name}: write it as a text"
    raise ValueError(msg)


async def _too_large(request: Request, largest: int) -> Refusal:
    """The refusal, when what still comes has been thrown away for a while: most clients read no answer before they have sent all."""
    thrown = 0
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_LINGER):
            async for chunk in request.stream():
                thrown += len(chunk)
                if thrown > _THROWN:
                    break
    return Refusal(
        Code.RESOURCE_EXHAUSTED, f"the body has more than {largest:,} bytes: pass large things as artifacts, by reference",
        413, {"connection": "close"},
    )  # fmt: skip
