"""Who may ask, how fast, and how much a day."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.errors import SettingsError
from tiphys.serving.gateway.keys import RIDERS, TESTERS, Grant, Key, Keys
from tiphys.serving.gateway.messages import Request

pytestmark = pytest.mark.unit

DAY = 86_400.0


def keys(**grants: Any) -> Keys:
    """Keys by their own text."""
    listed = {hashlib.sha256(key.encode()).hexdigest(): grant for key, grant in grants.items()}
    return Keys.read(json.dumps(listed))


def request(**headers: str) -> Request:
    """A request with these headers."""
    told = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request("POST", "/v1/eta", "", told, "192.0.2.1", 0.0)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "Bearer k1"}, None),
        ({"authorization": "bearer k1"}, None),
        ({"x_api_key": "k1"}, None),
        ({}, 401),
        ({"authorization": "Bearer k2"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Basic k1"}, 401),
        ({"authorization": "k1"}, 401),
        ({"authorization": "Bearer k1, Bearer k1"}, 401),
        ({"authorization": "Basic x", "x_api_key": "k1"}, 401),
        ({"x_api_key": "k1" + "0" * 10_000}, 401),
        ({"x_api_key": hashlib.sha256(b"k1").hexdigest()}, 401),
    ],
)
def test_only_a_known_key_may_ask(headers: dict[str, str], status: int | None) -> None:
    """The digest of a key is no key; 401 says how to send one."""
    refused = keys(k1={"name": "one"}).admit(request(**headers), RIDERS)
    assert (refused and refused.status) == status
    if refused:
        assert refused.headers.startswith(b"www-authenticate: Bearer")
        assert b"k1" not in refused.body


def test_a_rider_may_not_ask_what_is_for_testers() -> None:
    """403 names the key, its role and what it takes."""
    known = keys(r={"name": "app"}, t={"name": "tests", "role": "tester"}, a={"name": "boss", "role": "admin"})
    refused = known.admit(request(x_api_key="r"), TESTERS)
    assert refused is not None
    assert refused.status == 403
    assert b"'app' has the role rider" in refused.body
    assert known.admit(request(x_api_key="t"), TESTERS) is None
    assert known.admit(request(x_api_key="a"), TESTERS) is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"sk-live-secret": {"name": "a"}}', '{"%s": {"sk-live-secret": 1, "name": "a"}}' % ("0" * 64), '"sk-live-secret"', "{", '{"%s": {"name": "a b"}}' % ("0" * 64), '{"%s": {}}' % ("0" * 64),
     '{"%s": {"name": "a", "rate": 0}}' % ("0" * 64), '{"%s": {"name": "a", "role": "king"}}' % ("0" * 64)],
)  # fmt: skip
def test_keys_that_are_wrong_are_refused_without_showing_them(text: str) -> None:
    """The message says what is meant, and nothing of what was given."""
    with pytest.raises(SettingsError, match="TIPHYS_GATEWAY_KEYS must be") as caught:
        Keys.read(text)
    assert "sk-live" not in str(caught.value)
    assert "000" not in str(caught.value)


def test_the_key_that_is_wrong_is_told_by_its_place() -> None:
    """And what is wrong with it by the field's name."""
    text = json.dumps({"0" * 64: {"name": "a"}, "1" * 64: {"name": "b", "rate": 0}})
    with pytest.raises(SettingsError, match=r"entry 2, rate: Input should be greater than 0"):
        Keys.read(text)


def test_a_key_asks_a_burst_and_then_at_its_rate() -> None:
    """429 says after how many seconds to ask again, and then it may."""
    key = Key("", Grant(name="slow", rate=0.5, burst=3))
    assert [key.take(1, 100.0, 0.0) is None for _ in range(4)] == [True, True, True, False]
    refused = key.take(1, 100.0, 0.0)
    assert refused is not None
    assert refused.status == 429
    assert refused.headers == b"retry-after: 2\r\n"
    assert key.take(1, 102.0, 0.0) is None


def test_a_batch_counts_as_its_questions_and_may_go_into_debt() -> None:
    """A batch that is larger than the burst is possible, and paid for afterwards."""
    key = Key("", Grant(name="batches", rate=10.0, burst=5))
    assert key.take(100, 0.0, 0.0) is None
    refused = key.take(1, 9.0, 0.0)
    assert refused is not None
    assert refused.headers == b"retry-after: 1\r\n"
    assert key.take(1, 9.7, 0.0) is None


def test_a_day_ends_at_midnight_utc() -> None:
    """What was used is forgotten; Retry-After tells the seconds until then."""
    key = Key("", Grant(name="few", daily=3))
    assert key.take(3, 0.0, 10 * DAY + 5.0) is None
    refused = key.take(1, 0.0, 10 * DAY + DAY - 60.0)
    assert refused is not None
    assert refused.headers == b"retry-after: 60\r\n"
    assert key.take(3, 0.0, 11 * DAY) is None


@given(
    rate=st.floats(0.1, 1000), burst=st.floats(1, 100),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)  # fmt: skip
def test_no_key_is_ever_given_more_than_its_bucket(rate: float, burst: float, pauses: list[float]) -> None:
    """Over any stretch from the beginning: at most the burst and what has flowed in, and one in debt."""
    key, now, taken = Key("", Grant(name="any", rate=rate, burst=burst)), 0.0, 0
    for pause in pauses:
        now += pause
        taken += key.take(1, now, 0.0) is None
        assert taken <= burst + rate * now + 1e-6 + 1
    now += burst / rate + 1 / rate
    assert key.take(1, now, 0.0) is None
