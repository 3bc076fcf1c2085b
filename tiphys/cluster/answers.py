"""What an Argo server's refusals mean for a person: the thing, what is wrong with it, what to do."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from tiphys.cluster.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    NoNamespaceError,
    NotThereError,
    ServerAwayError,
)

if TYPE_CHECKING:
    from tiphys.cluster.access import Access

_SHOWN = 500  # characters of an answer that nobody expected
_NO_CRD = re.compile(r"could not find the requested resource|no matches for kind")
_NO_NAMESPACE = re.compile(r'namespaces? "([^"]+)" not found')
_AWAY = re.compile(
    r"connect: connection refused|i/o timeout|\bEOF\b|connection reset|no such host|etcdserver|unable to handle"
)
_FORBIDDEN = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<what>[^"]*)"')
_UNAUTHENTICATED, _FORBIDDEN_STATUS, _MISSING, _CONFLICT, _TOO_MANY = 401, 403, 404, 409, 429
_INTERNAL = 500
_REDIRECTS = range(300, 400)
_GATEWAY = (502, 503, 504)
_SILENCE = "no answer in time"


def refusal(access: Access, status: int, text: str) -> ClusterError:
    """The error for an answer that is none, or says no."""
    if _is_kubernetes(text):
        return ClusterError(f"{access.url} is Kubernetes' own API server: give the address of argo-server")
    message = _message(text)
    if message is None:
        return _no_argo(access, status, text)
    known = _cluster_lacks(access, message) or _caller_lacks(access, status, message)
    if known is not None:
        return known
    if status >= _INTERNAL and _AWAY.search(message):
        return ServerAwayError(f"the cluster behind {access.url} does not answer it ({message}): try again in a minute")
    if status in _GATEWAY or status == _TOO_MANY:
        return ServerAwayError(f"{access.url} can't answer now ({message}): try again in a minute")
    kind = {_MISSING: NotThereError, _CONFLICT: ConflictError}.get(status, ClusterError)
    return kind(f"{access.url} says: {message}")


def _cluster_lacks(access: Access, message: str) -> ClusterError | None:
    """The error for a cluster that is not made ready; None if it is something else."""
    if _NO_CRD.search(message):
        return ClusterError(
            f"the cluster behind {access.url} lacks Argo's resource definitions ({message}): "
            "install the CRDs of the Argo that runs there, then type the same again"
        )
    if found := _NO_NAMESPACE.search(message):
        return NoNamespaceError(
            f"the cluster behind {access.url} has no namespace {found[1]!r}: "
            f"kubectl create namespace {found[1]}, or name another with --namespace"
        )
    return None


def _caller_lacks(access: Access, status: int, message: str) -> ClusterError | None:
    """The error for a caller who may not do it; None if it is something else."""
    if status == _UNAUTHENTICATED or "Unauthorized" in message:
        return _unauthenticated(access, message)
    if status == _FORBIDDEN_STATUS or _FORBIDDEN.search(message):
        return _forbidden(access, message)
    return None


def unreachable(access: Access, error: Exception) -> ClusterError:
    """The error for a connection that was not made, or broke."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        why = re.search(r"certificate verify failed: ([^(\"']+)", text)
        return ClusterError(
            f"{access.url}: the server's certificate is not trusted ({why[1].strip() if why else 'unknown authority'}): "
            "give the certificate of its authority with --ca-file"
        )
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
        return ClusterError(f"{access.url}: the server there speaks plain http: write http:// if it is on this machine")
    if isinstance(error, OSError) and "ca" in text and "invalid path" in text:
        return ClusterError(f"--ca-file {access.ca_file} can't be read: check the path")
    reason = _reason(text)
    hint = "; one that finds no CRDs in its cluster does not answer either" if reason == _SILENCE else ""
    return ServerAwayError(f"{access.url} does not answer ({reason}): is the address right, is Argo's server up?{hint}")


def _message(text: str) -> str | None:
    """The `message` of a JSON answer; None if the answer has none."""
    with suppress(ValueError):
        answer = json.loads(text)
        if isinstance(answer, dict) and isinstance(answer.get("message"), str):
            return str(answer["message"])
    return None


def _is_kubernetes(text: str) -> bool:
    """Whether an answer has the shape of Kubernetes' own errors, which Argo's server never gives."""
    with suppress(ValueError):
        answer = json.loads(text)
        return isinstance(answer, dict) and answer.get("kind") == "Status"
    return False


def _no_argo(access: Access, status: int, text: str) -> ClusterError:
    if status in _REDIRECTS:
        return ClusterError(f"{access.url} sends elsewhere (HTTP {status}): give the address of Argo's server itself")
    if status == _UNAUTHENTICATED:
        return _unauthenticated(access, "")
    if status in _GATEWAY:
        return ServerAwayError(f"{access.url} answers HTTP {status}: Argo's server behind it is not up")
    shown = " ".join(text.split())[:_SHOWN] or "nothing"
    return ClusterError(
        f"{access.url} is not an Argo server (HTTP {status}: {shown[:120]}): give the address of argo-server"
    )


def _unauthenticated(access: Access, message: str) -> ClusterError:
    if access.token_file is None:
        remedy = "give a token with --token-file (kubectl create token SERVICE-ACCOUNT > FILE)"
    else:
        remedy = f"the token in {access.token_file} is not valid there, or has expired: make a new one"
    return ForbiddenError(f"{access.url} wants to know who asks{f' ({message})' if message else ''}: {remedy}")


def _forbidden(access: Access, message: str) -> ClusterError:
    found = _FORBIDDEN.search(message)
    if not found:
        return ForbiddenError(
            f"{access.url} does not allow this in namespace {access.namespace!r} ({message}): "
            "the token's account needs a role there; `tiphys install --print-prerequisites` has one"
        )
    return ForbiddenError(
        f"{found['user'] or 'the caller'} may not {found['verb']} {found['what']} in namespace {access.namespace!r}: "
        "bind a role that allows it; `tiphys install --print-prerequisites` has one"
    )


def _reason(text: str) -> str:
    for pattern, words in (
        ("Connection refused", "connection refused"),
        ("Name or service not known|Temporary failure in name|No address associated", "the name is not known"),
        ("timed out", _SILENCE),
        ("No route to host", "no route to host"),
        (
            "Connection aborted|reset by peer|IncompleteRead|ended prematurely|RemoteDisconnected",
            "the connection broke",
        ),
    ):
        if re.search(pattern, text):
            return words
    return " ".join(text.split())[:120]
