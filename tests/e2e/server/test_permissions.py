"""Who may ask: every route without a token, with a wrong one, and with one that may only send events."""

from __future__ import annotations

import re

import pytest

from tests.e2e.server.conftest import Served
from tiphys.engine.server.routes import operations

pytestmark = pytest.mark.e2e
_PLACE = re.compile(r"\{(\w+)(?::\w+)?\}")
ROUTES = sorted({(each.method, _PLACE.sub("x", each.path)) for each in operations()} | {("GET", "/openapi.json")})


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_route_is_answered_without_a_token(server: Served, method: str, path: str) -> None:
    """401 in Argo's words, whatever is asked."""
    status, found, headers = server.ask(method, path, token=None)

    assert (status, found["code"]) == (401, 16)
    assert headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_token_for_events_opens_no_other_route(server: Served, method: str, path: str) -> None:
    """403 for all but the one route."""
    status, found, _ = server.ask(method, path, role="events")

    if (method, path) == ("POST", "/api/v1/events/x/x"):
        assert status not in (401, 403)
    else:
        assert (status, found["code"]) == (403, 7)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_token_that_triggers_may_also_look_at_runs(server: Served, method: str, path: str) -> None:
    """One run, or all, and nothing below: no log, no change."""
    status, found, _ = server.ask(method, path, role="trigger")

    allowed = {("POST", "/api/v1/events/x/x"), ("GET", "/api/v1/workflows/x"), ("GET", "/api/v1/workflows/x/x")}
    if (method, path) in allowed:
        assert status not in (401, 403)
    else:
        assert (status, found["code"]) == (403, 7)


@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Bearer ", "Basic {}", "{}", "Bearer {}x", "bearer: {}", "Bearer {} {}", "v2:{}"]
)
def test_a_forged_token_is_none(server: Served, header: str) -> None:
    """Nothing but the very token after `Bearer` counts."""
    token = header.replace("{}", server.tokens["admin"])

    status, _, _ = server.ask("GET", "/api/v1/info", token=None, headers={"Authorization": token})

    assert status == 401


def test_a_token_is_looked_at_before_the_body(server: Served) -> None:
    """Who has none need not send a body: the answer is there before it."""
    status, _, _ = server.ask("POST", "/api/v1/workflows/default", token=None, headers={"Content-Length": "999999999"})

    assert status == 401


@pytest.mark.parametrize(
    "kept",
    ['authorization="Bearer {}"', "authorization=Bearer {}", "theme=a=b; authorization=Bearer%20{}",
     "authorization=Bearer gone; authorization=Bearer {}"],
)  # fmt: skip
def test_the_cookie_of_the_web_ui_is_a_token(server: Served, kept: str) -> None:
    """As Argo's web UI keeps it, also beside that of an older login; not from a page of another site."""
    cookie = {"Cookie": kept.format(server.tokens["admin"])}
    ours, theirs = {"Origin": server.url}, {"Origin": "http://evil.example"}

    assert server.ask("GET", "/api/v1/info", token=None, headers=cookie)[0] == 200
    assert server.ask("POST", "/api/v1/tracking/event", {}, token=None, headers=cookie | ours)[0] == 200
    assert server.ask("POST", "/api/v1/tracking/event", {}, token=None, headers=cookie | theirs)[0] == 403


def test_who_asks_is_told_where_to_begin(server: Served) -> None:
    """Argo's web UI shows an empty page after the login if it is told no namespace."""
    assert server.get("/api/v1/userinfo")["serviceAccountNamespace"] == "default"


def test_that_it_lives_is_no_secret(server: Served) -> None:
    """The one route without a token says nothing else."""
    assert server.ask("GET", "/healthz", token=None)[:2] == (200, b"ok")
