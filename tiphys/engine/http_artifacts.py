"""Fetches input artifacts from http and https servers."""

from __future__ import annotations

from http import HTTPStatus
from http.client import responses
from pathlib import Path
from typing import Any

from tiphys.engine.errors import TemplateError
from tiphys.engine.http_client import RequestError, asked, pieces

Json = dict[str, Any]
_SILENCE = 60.0  # seconds that a server may take for the next piece
_BLOCK = 1 << 20
_GOOD = range(200, 300)


class NotThereError(TemplateError):
    """The server does not have it: an optional artifact is left out then."""


def fetch(source: Json, target: Path, most: int) -> None:
    """Write what is at `source["url"]` to `target`, `most` bytes at most. Raises TemplateError, and NotThereError for a 404."""
    url = source.get("url") or ""
    headers = [(entry["name"], str(entry.get("value") or "")) for entry in source.get("headers") or []]
    try:
        with asked(url, headers=headers, timeout=_SILENCE) as answer:
            _check_status(answer.status, url)
            _save(answer, target, most, url)
    except RequestError as problem:
        msg = f'Get "{url}": {problem}'
        raise TemplateError(msg) from None


def _check_status(status: int, url: str) -> None:
    said = f"{status} {responses.get(status, '')}".strip()
    if status == HTTPStatus.NOT_FOUND:
        raise NotThereError(said)
    if status not in _GOOD:
        msg = f"loading content from {url} failed with reason: {said}"
        raise TemplateError(msg)


def _save(answer: Any, target: Path, most: int, url: str) -> None:
    taken = 0
    with target.open("wb") as file:
        for block in pieces(answer, _BLOCK):
            taken += len(block)
            if taken > most:
                msg = f"{url} gives more than {most:,} bytes: refused (the engine's `limits` set what is allowed)"
                raise TemplateError(msg)
            file.write(block)
