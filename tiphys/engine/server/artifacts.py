"""Artifacts of nodes over HTTP: a file as it is, a folder as one archive, or file by file for a browser; no script in them runs."""

from __future__ import annotations

import asyncio
import html
import mimetypes
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tiphys.engine.engine import Engine
from tiphys.engine.journal import Summary
from tiphys.engine.server.artifact_lookup import INPUTS, OUTPUTS, Found, find_artifact
from tiphys.engine.server.call import Call
from tiphys.engine.server.lookup import find_by_uid, find_run
from tiphys.engine.server.refusals import invalid

_POLICY = (
    "sandbox allow-same-origin; base-uri 'none'; default-src 'none'; img-src 'self'; style-src 'self' 'unsafe-inline'"
)
_GUARDS = {
    "content-security-policy": _POLICY, "x-frame-options": "SAMEORIGIN", "x-content-type-options": "nosniff",
    "cache-control": "private, no-cache",
}  # fmt: skip
"""A page that a step wrote is shown, and none of its scripts runs: as on Argo."""
_PIECE = 256 << 10
_BY_NAME, _BY_UID = "workflows", "archived-workflows"
_MOST_LISTED = 10_000


async def output(call: Call) -> Response:
    """`GET /artifacts/{namespace}/{name}/{nodeId}/{artifactName}`."""
    return await _whole(call, OUTPUTS, _named(call))


async def given(call: Call) -> Response:
    """`GET /input-artifacts/{namespace}/{name}/{nodeId}/{artifactName}`."""
    return await _whole(call, INPUTS, _named(call))


async def output_by_uid(call: Call) -> Response:
    """`GET /artifacts-by-uid/{uid}/{nodeId}/{artifactName}`."""
    return await _whole(call, OUTPUTS, _known(call))


async def given_by_uid(call: Call) -> Response:
    """`GET /input-artifacts-by-uid/{uid}/{nodeId}/{artifactName}`."""
    return await _whole(call, INPUTS, _known(call))


async def file(call: Call) -> Response:
    """`GET /artifact-files/{namespace}/{idDiscriminator}/{id}/{nodeId}/{artifactDiscriminator}/{artifactName}[/{file}]`."""
    side, kind, identity = (call.path[key] for key in ("artifactDiscriminator", "idDiscriminator", "id"))
    if side not in (INPUTS, OUTPUTS) or kind not in (_BY_NAME, _BY_UID):
        raise invalid("write /artifact-files/NAMESPACE/workflows/NAME/NODE/outputs/ARTIFACT")

    def run(engine: Engine) -> Summary:
        if kind == _BY_NAME:
            return find_run(engine, call.namespace, identity)
        return find_run(engine, call.namespace, find_by_uid(call.desk.catalog, engine, identity).name)

    artifact = await _found(call, side, run)
    try:
        found = artifact.inner(call.path.get("file", ""))
        asked = call.request.url.path
        if found.path.is_dir() and not asked.endswith("/"):
            artifact.clear()
            return RedirectResponse(quote(asked) + "/", 307, _GUARDS)
        if found.path.is_dir():
            return _listing(found)
        return _sent(found)
    except BaseException:
        artifact.clear()
        raise


def _named(call: Call) -> Callable[[Engine], Summary]:
    return lambda engine: find_run(engine, call.namespace, call.name)


def _known(call: Call) -> Callable[[Engine], Summary]:
    return lambda engine: find_by_uid(call.desk.catalog, engine, call.path["uid"])


async def _whole(call: Call, side: str, run: Callable[[Engine], Summary]) -> Response:
    found = await _found(call, side, run)
    try:
        return _packed(found) if found.path.is_dir() else _sent(found)
    except BaseException:
        found.clear()
        raise


async def _found(call: Call, side: str, run: Callable[[Engine], Summary]) -> Found:
    node, name = call.path["nodeId"], call.path["artifactName"]
    summary = await call.desk.read(run)
    engine = call.desk.engine.apart()  # not in a thread for reads: it may take as long as a download
    return await asyncio.to_thread(lambda: find_artifact(engine, summary, node, name, side))


class _Sending(StreamingResponse):
    """Sends an artifact, and takes away what was made for it even if no byte of it is ever taken."""

    def __init__(self, found: Found, pieces: AsyncIterator[bytes], headers: Mapping[str, str], kind: str) -> None:
        super().__init__(pieces, 200, headers, kind)
        self._found = found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._found.clear()


def _sent(found: Found) -> Response:
    kind, encoding = mimetypes.guess_type(found.name)
    kind = "application/gzip" if encoding == "gzip" else kind or "application/octet-stream"
    headers = {**_guards(found.name), "content-length": str(found.path.stat().st_size)}
    return _Sending(found, _pieces(found), headers, f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)


async def _pieces(found: Found) -> AsyncIterator[bytes]:
    with found.path.open("rb") as opened:
        while piece := await asyncio.to_thread(opened.read, _PIECE):
            yield piece


def _packed(found: Found) -> Response:
    return _Sending(found, _archive(found), _guards(f"{found.name}.tgz"), "application/gzip")


async def _archive(found: Found) -> AsyncIterator[bytes]:
    """The folder as a compressed tar file, made beside it before the first byte leaves; links stay links."""
    with tempfile.TemporaryFile() as packed:
        await asyncio.to_thread(_pack, found, packed)
        packed.seek(0)
        while piece := await asyncio.to_thread(packed.read, _PIECE):
            yield piece


def _pack(found: Found, target: object) -> None:
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as archive:  # type: ignore[call-overload]
        archive.add(found.path, arcname=found.name)


def _listing(found: Found) -> Response:
    """A page that leads to what is in a folder; to its index.html where it has one."""
    entries = sorted(found.path.iterdir())[:_MOST_LISTED]
    names = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries]
    found.clear()
    if any(entry.name == "index.html" for entry in entries):
        return RedirectResponse("index.html", 307, _GUARDS)
    rows = "".join(f'<li><a href="./{quote(name)}">{html.escape(name)}</a></li>\n' for name in names)
    page = f'<html><body><ul>\n<li><a href="..">..</a></li>\n{rows}</ul></body></html>'
    return Response(page.encode("utf-8", "replace"), 200, _GUARDS, "text/html; charset=utf-8")


def _guards(name: str) -> dict[str, str]:
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\' else "_" for char in name)
    other = f"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'))}" if plain != name else ""
    return {**_GUARDS, "content-disposition": f'filename="{plain}"{other}'}
