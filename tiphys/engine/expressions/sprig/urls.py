"""sprig's functions of URLs."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions.values import Function, from_bytes, to_bytes, type_of

_KEYS = ("scheme", "host", "path", "query", "opaque", "fragment", "userinfo")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_HOST = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:\[\]<>\"%\x80-\U0010ffff]*")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})?")


def _fail(url: str, why: str) -> ExpressionError:
    return ExpressionError(f'unable to parse url: parse "{url}": {why}')


def _decoded(text: str, url: str) -> str:
    def one(found: re.Match[bytes]) -> bytes:
        if not found[1]:
            raise _fail(url, "invalid URL escape")
        return bytes([int(found[1], 16)])

    return from_bytes(re.compile(_PERCENT.pattern.encode()).sub(one, to_bytes(text)))


def _parse(url: str) -> dict[str, Any]:
    if any(char < " " or char == "\x7f" for char in url):
        raise _fail(url, "net/url: invalid control character in URL")
    rest, _, fragment = url.partition("#")
    scheme, rest = _scheme(rest, url)
    rest, _, query = rest.partition("?")
    found = dict.fromkeys(("scheme", "host", "hostname", "path", "query", "opaque", "fragment", "userinfo"), "")
    found |= {"scheme": scheme, "query": query, "fragment": _decoded(fragment, url)}
    if not rest.startswith("/"):
        if scheme:
            return found | {"opaque": rest}
        if ":" in rest.partition("/")[0]:
            raise _fail(url, "first path segment in URL cannot contain colon")
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        found |= _authority(authority, url)
        rest = slash + path
    return found | {"path": _decoded(rest, url)}


def _scheme(rest: str, url: str) -> tuple[str, str]:
    found = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*):", rest)
    if found:
        return found[1].lower(), rest[found.end() :]
    if rest.startswith(":"):
        raise _fail(url, "missing protocol scheme")
    return "", rest


def _authority(authority: str, url: str) -> dict[str, str]:
    user, at, host = authority.rpartition("@")
    if not _USER.fullmatch(user):
        raise _fail(url, "net/url: invalid userinfo")
    port = re.search(r":([^\]:]*)$", host)
    if not _HOST.fullmatch(host) or (port and port[1] and not port[1].isdigit()) or host.count("[") != host.count("]"):
        raise _fail(url, "invalid character in host name")
    plain = host[: port.start()] if port else host
    if ":" in plain and not plain.startswith("["):
        raise _fail(url, "invalid port after host")
    name, colon, password = user.partition(":")
    shown = _escaped(_decoded(name, url), "$&+,;=") + colon + _escaped(_decoded(password, url), "$&+,;=")
    return {"host": _decoded(host, url), "hostname": plain.strip("[]"), "userinfo": shown if at else ""}


def _escaped(text: str, safe: str) -> str:
    return quote(to_bytes(text), safe=safe)


def _join(parts: dict[str, Any]) -> str:
    found = {}
    for key in _KEYS:
        found[key] = parts.get(key, "")
        if not isinstance(found[key], str):
            msg = f"unable to parse {key} key, must be of type string, but {type_of(found[key])} found"
            raise ExpressionError(msg)
    url = f"{found['scheme']}:" if found["scheme"] else ""
    if found["opaque"]:
        url += found["opaque"]
    else:
        url += _joined_path(found)
    if found["query"]:
        url += "?" + found["query"]
    return url + ("#" + _escaped(found["fragment"], "$&+,;=:@/?!()*'") if found["fragment"] else "")


def _joined_path(found: dict[str, str]) -> str:
    path, user = _escaped(found["path"], "$&+,;=:@/!()*'"), found["userinfo"]
    if not (found["scheme"] or found["host"] or user):
        first = path.partition("/")[0]
        return "./" + path if ":" in first else path
    start = ""
    if found["host"] or found["path"] or user:
        start = "//" if found["host"] or user or found["path"].startswith("//") else ""
        start += f"{user}@" if user else ""
        start += _escaped(found["host"], "!$&'()*+,;=:[]<>\"")
    return start + ("/" if path and not path.startswith("/") and found["host"] else "") + path


URLS: dict[str, Function] = {"urlParse": Function(_parse, "s"), "urlJoin": Function(_join, "m")}
