"""The one door to a registry of images: the OCI distribution API, and why one refuses.

Whatever was fetched has been compared with its digest before it is handed over. A registry that is away or busy is
asked again for ``patience`` seconds; one that refuses is not. It needs no daemon, no root and no file of its own.

======================== ==========================================================================================
401, 403, 404, 405, 413  :class:`PermanentError` (what is not there: :class:`ImageNotThereError`): who must allow what
429, 5xx, no connection  :class:`RetryableError`
a certificate            :class:`PermanentError`: nothing is sent to one whom we cannot know
======================== ==========================================================================================
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from tiphys.errors import DataError, PermanentError, RetryableError
from tiphys.lake.s3 import persist
from tiphys.oci import challenges
from tiphys.oci.credentials import Login, login
from tiphys.oci.image import (
    DOCKER_LIST_TYPE,
    DOCKER_MANIFEST_TYPE,
    INDEX_TYPE,
    MANIFEST_CAP,
    MANIFEST_TYPE,
    Descriptor,
    digest_of,
)
from tiphys.settings import RegistrySettings

PATIENCE = 60.0
"""Seconds that one call goes on trying."""

_ACCEPT = f"{MANIFEST_TYPE}, {INDEX_TYPE}, {DOCKER_MANIFEST_TYPE}, {DOCKER_LIST_TYPE}"
_CHUNK = 1 << 20
_SAID_CAP = 4096
_TOKEN_CAP = 64 * 1024
_CREATED, _ACCEPTED = 201, 202

Result = TypeVar("Result")
Content = bytes | Path


class ImageNotThereError(PermanentError):
    """The registry has no such image, blob or repository."""


@dataclass(frozen=True)
class _Wanted:
    """What was asked of the registry, for its messages."""

    doing: str
    what: str


class Registry:
    """One registry, spoken to over TLS unless the settings list its host as plain."""

    def __init__(self, host: str, settings: RegistrySettings, patience: float = PATIENCE) -> None:
        """Remember the address; nothing is connected yet."""
        self.host = host
        self._patience = patience
        self._base = f"{'http' if settings.is_plain(host) else 'https'}://{host}/v2/"
        self._login: Login | None = login(settings.auth, host)
        self._authorization = ""
        timeout = urllib3.Timeout(connect=min(5.0, patience), read=min(60.0, max(patience, 1.0)))
        self._pool = urllib3.PoolManager(
            timeout=timeout,
            retries=urllib3.Retry(3, connect=0, read=0, status=0, other=0, respect_retry_after_header=False),
            maxsize=4,
        )

    def manifest(self, path: str, reference: str) -> bytes:
        """Return a manifest by its digest, or by a tag.

        Raises:
            ImageNotThereError: there is none.
            DataError: it is not what its digest says, or too large.
            PermanentError, RetryableError: as the table above says.
        """
        wanted = _Wanted("pull", f"{self.host}/{path}@{reference}")

        def attempt() -> bytes:
            with self._ask("GET", f"{path}/manifests/{reference}", wanted, headers={"Accept": _ACCEPT}) as answer:
                return _read(answer, MANIFEST_CAP, wanted.what)

        content = self._persist(attempt)
        if ":" in reference and digest_of(content) != reference:
            raise _differs(wanted.what, digest_of(content), reference)
        return content

    def blob(self, path: str, descriptor: Descriptor) -> bytes:
        """Return a small blob whole. Raises as :meth:`manifest`."""
        wanted = _Wanted("pull", f"{self.host}/{path}@{descriptor.digest}")

        def attempt() -> bytes:
            with self._ask("GET", f"{path}/blobs/{descriptor.digest}", wanted) as answer:
                return _read(answer, MANIFEST_CAP, wanted.what)

        content = self._persist(attempt)
        if digest_of(content) != descriptor.digest:
            raise _differs(wanted.what, digest_of(content), descriptor.digest)
        return content

    def download(self, path: str, descriptor: Descriptor, target: Path) -> None:
        """Copy a blob to a file that did not exist. Raises as :meth:`manifest`; then there is no file."""
        try:
            self._persist(functools.partial(self._download, path, descriptor, target))
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _download(self, path: str, descriptor: Descriptor, target: Path) -> None:
        wanted = _Wanted("pull", f"{self.host}/{path}@{descriptor.digest}")
        digest, size = hashlib.sha256(), 0
        with self._ask("GET", f"{path}/blobs/{descriptor.digest}", wanted) as answer, target.open("wb") as file:
            while chunk := _next(answer, wanted.what):
                size += len(chunk)
                if size > descriptor.size:
                    message = (
                        f"{wanted.what} is refused: it has more than the {descriptor.size} bytes its manifest says"
                    )
                    raise DataError(message)
                digest.update(chunk)
                file.write(chunk)
        if size < descriptor.size:
            message = f"{wanted.what} ended early, at {size} of {descriptor.size} bytes; it can be tried again"
            raise RetryableError(message)
        if f"sha256:{digest.hexdigest()}" != descriptor.digest:
            raise _differs(wanted.what, f"sha256:{digest.hexdigest()}", descriptor.digest)

    def has_blob(self, path: str, digest: str) -> bool:
        """Say whether a repository has a blob. Raises as :meth:`manifest`."""
        wanted = _Wanted("pull", f"{self.host}/{path}@{digest}")

        def attempt() -> bool:
            try:
                with self._ask("HEAD", f"{path}/blobs/{digest}", wanted):
                    return True
            except ImageNotThereError:
                return False

        return self._persist(attempt)

    def upload(self, path: str, descriptor: Descriptor, content: Content, mount_from: str = "") -> None:
        """Put a blob into a repository, unless it is there; with ``mount_from`` a sister repository's is taken over.

        Raises:
            PermanentError, RetryableError: as the table above says.
        """
        if not self.has_blob(path, descriptor.digest):
            self._persist(lambda: self._upload(path, descriptor, content, mount_from))

    def mount(self, path: str, digest: str, mount_from: str) -> bool:
        """Take a blob over from another repository of this registry; False where the registry does not do that."""
        return self._persist(lambda: not self._begin(path, digest, mount_from))

    def put_manifest(self, path: str, content: bytes, tag: str) -> None:
        """Write an image's manifest under its digest and a tag, which keeps it from being collected.

        Raises:
            PermanentError, RetryableError: as the table above says.
        """
        wanted, headers = _Wanted("push", f"{self.host}/{path}:{tag}"), {"Content-Type": MANIFEST_TYPE}

        def attempt() -> None:
            with self._ask("PUT", f"{path}/manifests/{tag}", wanted, headers=headers, body=content) as answer:
                told = answer.headers.get("Docker-Content-Digest", digest_of(content))
            if told != digest_of(content):
                raise _differs(wanted.what, told, digest_of(content))

        self._persist(attempt)

    def _upload(self, path: str, descriptor: Descriptor, content: Content, mount_from: str) -> None:
        address = self._begin(path, descriptor.digest, mount_from)
        if not address:
            return
        wanted = _Wanted("push", f"{self.host}/{path}@{descriptor.digest}")
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}
        address += ("&" if urlsplit(address).query else "?") + urlencode({"digest": descriptor.digest})
        if isinstance(content, bytes):
            with self._ask("PUT", address, wanted, headers=headers, body=content):
                return
        with content.open("rb") as file, self._ask("PUT", address, wanted, headers=headers, body=file):
            return

    def _begin(self, path: str, digest: str, mount_from: str) -> str:
        """Begin an upload and return where its bytes go; empty where the blob was mounted instead."""
        query = "?" + urlencode({"mount": digest, "from": mount_from}) if mount_from else ""
        wanted = _Wanted("push", f"{self.host}/{path}")
        with self._ask("POST", f"{path}/blobs/uploads/{query}", wanted) as answer:
            if answer.status == _CREATED:
                return ""
            if answer.status != _ACCEPTED or "Location" not in answer.headers:
                message = (
                    f"{self.host} answers {answer.status} to a new upload: it is no registry after OCI's specification"
                )
                raise PermanentError(message)
            return str(urljoin(f"{self._base}{path}/blobs/uploads/", answer.headers["Location"]))

    def _persist(self, attempt: Callable[[], Result]) -> Result:
        return persist(attempt, self._patience)

    def _ask(
        self, method: str, path: str, wanted: _Wanted, headers: Mapping[str, str] | None = None, body: Any = None
    ) -> AbstractContextManager[Any]:
        """Ask once, and once more with what a refusal asks for; the answer's body is still to be read."""
        url = urljoin(self._base, path)
        answer = self._send(method, url, headers, body)
        if answer.status == 401:  # noqa: PLR2004 - HTTP's own number
            asked = answer.headers.getlist("WWW-Authenticate")
            answer.drain_conn()
            answer.release_conn()
            before, self._authorization = self._authorization, self._answer_to(asked, wanted)
            if self._authorization and self._authorization != before:
                if isinstance(body, io.BufferedReader):
                    body.seek(0)
                answer = self._send(method, url, headers, body)
        if answer.status >= 300:  # noqa: PLR2004
            raise self._refused(answer, wanted)
        return closing(answer)

    def _send(self, method: str, url: str, headers: Mapping[str, str] | None, body: Any) -> Any:
        given = dict(headers or {})
        if self._authorization and urlsplit(url).netloc == self.host:
            given["Authorization"] = self._authorization
        try:
            return self._pool.request(method, url, headers=given, body=body, preload_content=False)
        except HTTPError as error:
            raise self._away(error) from error

    def _answer_to(self, asked: list[str], wanted: _Wanted) -> str:
        """Return the Authorization that a refusal asks for; empty where there is none to give."""
        challenge = challenges.choose(asked)
        if challenge is None or challenge.scheme == "basic":
            return self._login.header() if self._login else ""
        realm = challenge.parameters.get("realm", "")
        if urlsplit(realm).scheme != "https" and self._base.startswith("https"):
            message = f"{self.host} wants a token from {realm!r}, which has no TLS: nothing secret is sent there"
            raise PermanentError(message)
        fields = [(name, challenge.parameters[name]) for name in ("service", "scope") if name in challenge.parameters]
        headers = {"Authorization": self._login.header()} if self._login else {}
        try:
            answer = self._pool.request("GET", f"{realm}?{urlencode(fields)}", headers=headers, preload_content=False)
        except HTTPError as error:
            raise self._away(error) from error
        with closing(answer):
            if answer.status >= 300:  # noqa: PLR2004
                raise self._refused(answer, wanted)
            return "Bearer " + challenges.token(_read(answer, _TOKEN_CAP, realm), realm)

    def _refused(self, answer: Any, wanted: _Wanted) -> Exception:
        with closing(answer):
            said = _said(answer)
        status, what = answer.status, wanted.what
        about = f"the registry answers {status} to a {wanted.doing} of {what}: {said}; "
        if status == 429 or status >= 500:  # noqa: PLR2004
            return RetryableError(about + "it can be tried again")
        if status == 404 and wanted.doing == "pull":  # noqa: PLR2004
            return ImageNotThereError(about + "it was never pushed, or was deleted: package it again")
        return PermanentError(about + self._remedies().get(status, "its own log says more"))

    def _remedies(self) -> dict[int, str]:
        who = f"user {self._login.user!r}" if self._login else "nobody: TIPHYS_REGISTRY_AUTH has no login for it"
        return {
            401: f"it does not know {who}; put a docker config.json with a valid login into the step's Secret",
            403: f"it knows {who}, who may not: give that account the right on this repository",
            404: "make the project or repository there first, or let the account make it",
            405: "it is read-only: name another in TIPHYS_REGISTRY",
            413: "something in front of it limits the size of requests: raise that limit",
        }

    def _away(self, error: HTTPError) -> Exception:
        reason = getattr(error, "reason", error)
        if isinstance(reason, SSLError) or isinstance(error, SSLError):
            return PermanentError(
                f"the registry {self.host} cannot be trusted: {reason}; let SSL_CERT_FILE name its certificate authority, "
                "or list its host in TIPHYS_REGISTRY_PLAIN_HTTP if it has no TLS on purpose"
            )
        return RetryableError(
            f"the registry {self.host} does not answer: {reason}; is TIPHYS_REGISTRY right, is it up?"
        )


def _read(answer: Any, cap: int, what: str) -> bytes:
    content = b""
    while chunk := _next(answer, what):
        content += chunk
        if len(content) > cap:
            message = f"{what} is refused: it has more than {cap} bytes"
            raise DataError(message)
    return content


def _next(answer: Any, what: str) -> bytes:
    try:
        return bytes(answer.read(_CHUNK))
    except HTTPError as error:
        message = f"the connection broke while reading {what}: {error}; it can be tried again"
        raise RetryableError(message) from error


def _said(answer: Any) -> str:
    """What a refusal says of itself."""
    try:
        content = bytes(answer.read(_SAID_CAP))
    except HTTPError:
        return "nothing"
    try:
        errors = json.loads(content)["errors"]
        return ", ".join(f"{each.get('code', '')} {each.get('message', '')}".strip() for each in errors[:3])
    except (ValueError, KeyError, TypeError, AttributeError):
        return content[:200].decode(errors="replace").strip() or "nothing"


def _differs(what: str, found: str, expected: str) -> DataError:
    return DataError(f"{what} is refused: its bytes have digest {found}, not {expected}: it is corrupt or was replaced")
