"""Who we are to a registry, and what it asks for."""

from __future__ import annotations

import base64
import json

import pytest

from tiphys.errors import PermanentError, SettingsError
from tiphys.oci import challenges
from tiphys.oci.credentials import login

pytestmark = pytest.mark.unit

BOTH = base64.b64encode(b"ann:secret:with colon").decode()


@pytest.mark.parametrize(
    "name", ["reg.example.org:5000", "https://reg.example.org:5000/v2/", "http://reg.example.org:5000"]
)
def test_a_login_is_found_however_docker_wrote_the_host(name: str) -> None:
    """User and password come out of the one text, whatever colons are in it."""
    found = login(
        json.dumps({"auths": {"other.example.org": {"auth": "x"}, name: {"auth": BOTH}}}), "reg.example.org:5000"
    )
    assert found is not None
    assert (found.user, found.password) == ("ann", "secret:with colon")
    assert "secret" not in repr(found)


def test_a_pull_secret_may_have_both_parts_apart() -> None:
    """Kubernetes writes username and password beside auth."""
    text = json.dumps({"auths": {"reg": {"username": "ann", "password": "secret", "auth": "!"}}})
    found = login(text, "reg")
    assert found is not None
    assert found.header() == "Basic " + base64.b64encode(b"ann:secret").decode()


def test_nobody_is_known_to_another_registry() -> None:
    """A login is sent to its own host only; no settings at all are nobody, too."""
    assert login(json.dumps({"auths": {"reg": {"auth": BOTH}}}), "other") is None
    assert login("", "reg") is None


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"auths": {"reg": {"auth": "hush!"}}}', '{"auths": {"reg": {"identitytoken": "hush!"}}}']
)
def test_another_form_is_refused_without_showing_it(text: str) -> None:
    """The message says what form is wanted."""
    with pytest.raises(SettingsError, match="TIPHYS_REGISTRY_AUTH must be") as refusal:
        login(text, "reg")
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    ("headers", "scheme", "parameters"),
    [
        (['Basic realm="x"'], "basic", {"realm": "x"}),
        (
            ['Bearer realm="https://auth.example.org/token",service="reg",scope="repository:a/b:pull,push"'],
            "bearer",
            {"realm": "https://auth.example.org/token", "service": "reg", "scope": "repository:a/b:pull,push"},
        ),
        (['Basic realm="x"', 'Bearer realm="y"'], "bearer", {"realm": "y"}),
        (['Basic realm="x", Bearer realm="y\\"z", service=s'], "bearer", {"realm": 'y"z', "service": "s"}),
    ],
)
def test_a_challenge_is_read(headers: list[str], scheme: str, parameters: dict[str, str]) -> None:
    """A token is preferred where both are offered."""
    found = challenges.choose(headers)
    assert found is not None
    assert (found.scheme, dict(found.parameters)) == (scheme, parameters)


def test_an_unknown_way_is_no_challenge() -> None:
    """Nothing is answered to what we do not know."""
    assert challenges.choose([]) is None
    assert challenges.choose(['Negotiate oauth="x"']) is None


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"token": 7}', b'{"token": "a\\r\\nb"}'])
def test_an_answer_without_a_token_is_refused(text: bytes) -> None:
    """Nothing that would break a header gets into one, either."""
    with pytest.raises(PermanentError, match="without a token"):
        challenges.token(text, "https://auth.example.org")


def test_a_token_has_two_names() -> None:
    """Both are in use."""
    assert challenges.token(b'{"token": "t"}', "") == challenges.token(b'{"access_token": "t"}', "") == "t"
