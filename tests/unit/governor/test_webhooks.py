"""What comes as a webhook: only what is signed, fresh and of the right form is taken, and it chooses nothing of what is started."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from tiphys.engine.events.binding import environment, is_wanted, workflow_for
from tiphys.engine.events.store import Event as Delivered
from tiphys.errors import SettingsError
from tiphys.settings import PROJECT
from tiphys.watch import webhooks
from tiphys.watch.alerts import Alert, Request
from tiphys.watch.governor.decide import Event
from tiphys.watch.governor.desk import posted
from tiphys.watch.governor.receive import RefusedError, webhook
from tiphys.watch.governor.senders import Rates, Secrets, Sender, Tokens

pytestmark = pytest.mark.unit
NOW = 1_614_265_330.0
OLD, NEW, PERSON, UNKNOWN = (f"whsec_{base64.b64encode(bytes([number]) * 24).decode()}" for number in (1, 2, 3, 4))
SECRETS = Secrets(json.dumps({OLD: "monitor:alert", NEW: "monitor:alert", PERSON: "cli:person"}))
ALERT: dict[str, Any] = {
    "type": "tiphys.alert.v1", "use_case": "taxi_eta", "kind": "error", "subject": "zone 132", "severity": "critical",
    "moment": "2019-05-13T08:00:00Z", "window": {"from": "2019-05-12T00:00:00Z", "to": "2019-05-13T08:00:00Z"},
    "value": 214.5, "threshold": 180.0, "labelled": 1204, "model_version": "models:/taxi_eta/3", "report": "0a1b", "text": "slower",
}  # fmt: skip
BODY = json.dumps(ALERT).encode()
BINDING = yaml.load((PROJECT / "workflows" / "rendered" / "retrain.yaml").read_text(), Loader=yaml.CSafeLoader)


def taken(body: bytes = BODY, secret: str = NEW, when: float = NOW, **changed: str) -> Any:
    """What is received of a body that was signed, with headers changed afterwards."""
    headers = webhooks.sign(secret, "msg-1", int(when), body) | {
        name.replace("_", "-"): text for name, text in changed.items()
    }
    return webhook(Headers(headers), body, SECRETS, NOW)


def refused(body: bytes = BODY, secret: str = NEW, when: float = NOW, **changed: str) -> RefusedError:
    """Why it is not."""
    with pytest.raises(RefusedError) as error:
        taken(body, secret, when, **changed)
    return error.value


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of the specification's own libraries."""
    signed = webhooks.sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_both_secrets_count_while_one_is_exchanged(secret: str) -> None:
    """And a sender may sign with both at once."""
    assert taken(secret=secret).sender == "monitor"
    both = " ".join(webhooks.sign(each, "msg-1", int(NOW), BODY)["webhook-signature"] for each in (UNKNOWN, secret))
    assert taken(webhook_signature="v1a,other v1,bm9uc2Vuc2U= " + both).sender == "monitor"


def test_what_is_taken_is_what_was_sent() -> None:
    """The whole alert, under its id, and whose it is."""
    received = taken()
    assert (received.id, received.sender, received.trigger, received.source) == ("msg-1", "monitor", "alert", "webhook")
    assert isinstance(received.event, Alert)
    assert (received.event.kind, received.event.labelled, received.body) == ("error", 1204, BODY.decode())


@pytest.mark.parametrize(
    ("changed", "why", "status"),
    [
        ({"webhook_signature": ""}, "forged", 401),
        ({"webhook_signature": "v1,AAAA"}, "forged", 401),
        ({"webhook_signature": "v1," + "\u00e9" * 44}, "forged", 401),
        ({"webhook_id": "msg-2"}, "forged", 401),
        ({"webhook_timestamp": str(int(NOW) + 1)}, "forged", 401),
        ({"webhook_id": ""}, "malformed", 400),
        ({"webhook_id": "a.b"}, "malformed", 400),
        ({"webhook_id": "x" * 129}, "malformed", 400),
    ],
)
def test_a_forged_header_is_refused(changed: dict[str, str], why: str, status: int) -> None:
    """Id, time and body are all under the signature."""
    error = refused(**changed)
    assert (error.why, error.status) == (why, status)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("times", [0, 2])
def test_each_header_is_there_once(name: str, times: int) -> None:
    """Two of one would let two readers see two messages."""
    signed = webhooks.sign(NEW, "msg-1", int(NOW), BODY)
    raw = [(each.encode(), text.encode()) for each, text in signed.items() for _ in range(times if each == name else 1)]
    with pytest.raises(RefusedError) as error:
        webhook(Headers(raw=raw), BODY, SECRETS, NOW)
    assert (error.value.why, error.value.status) == ("unsigned", 401)


@pytest.mark.parametrize("seconds", [-301, 301, -1e9])
def test_what_was_signed_long_ago_or_ahead_is_refused(seconds: float) -> None:
    """A replay is a duplicate for five minutes, and stale afterwards."""
    assert refused(when=NOW + seconds).why == "stale"
    assert taken(when=NOW + 299).id == taken(when=NOW - 299).id


@pytest.mark.parametrize(
    "body",
    [
        BODY[:-1], BODY[: len(BODY) // 2], b"", b"null", b"[]", b'"text"', b"{}", b"\xff\xfe{}", BODY.replace(b"slower", b"\xe9"),
        b'{"a":' * 9 + b"1" + b"}" * 9, b"[" * 60_000, b'{"value": NaN}', b'{"value": Infinity}', b"1" * 5000,
        BODY.replace(b"214.5", b"1e999"), BODY.replace(b"214.5", b'"214.5"'), BODY.replace(b"1204", b"-1"),
        BODY.replace(b'"kind"', b'"kind": "data", "kind"'), BODY.replace(b"slower", b"\\ud800"), BODY.replace(b"slower", b"\\u0000"),
        BODY.replace(b"slower", b"{{workflow.name}}"), BODY.replace(b"zone 132", b"\\u007b\\u007b=env()}}"),
        BODY.replace(b"taxi_eta", b"os.path; rm", 1), BODY.replace(b"taxi_eta", b"../x", 1), BODY.replace(b'"error"', b'"weather"'),
        BODY.replace(b"alert.v1", b"alert.v2"), BODY.replace(b"slower", b"a\\nb"), BODY.replace(b"0a1b", b"http://evil/"),
        BODY.replace(b"slower", b"x" * 2001), BODY.replace(b"2019-05-13T08:00:00Z", b"soon", 1),
    ],
    ids=lambda body: str(body[:40]),
)  # fmt: skip
def test_what_is_signed_and_of_a_wrong_form_is_refused(body: bytes) -> None:
    """Truncated, nested, not UTF-8, not JSON, twice a key, no number, a tag, a path, an unknown kind."""
    error = refused(body)
    assert (error.why, error.status) == ("malformed", 400)
    assert str(error)


@pytest.mark.parametrize(
    "more",
    [
        "template",
        "workflowTemplateRef",
        "image",
        "url",
        "bucket",
        "source",
        "serviceAccountName",
        "parameters",
        "live",
        "run",
    ],
)
def test_a_payload_that_chooses_is_refused(more: str) -> None:
    """The schema is closed."""
    error = refused(json.dumps(ALERT | {more: "evil"}).encode())
    assert error.why == "malformed"
    assert more in str(error)


def test_a_secret_sends_only_what_it_is_for() -> None:
    """Who may send alerts is no person, and the other way round."""
    request = Request(use_case="taxi_eta", asked_by="anna", reason="new zones").model_dump_json().encode()
    assert taken(request, PERSON).trigger == "person"
    assert (refused(request, NEW).why, refused(BODY, PERSON).status) == ("not_allowed", 403)


TEXTS = st.text(max_size=40) | st.sampled_from(
    ["{{workflow.name}}", "http://evil/", "s3://evil/", "$(id)", '"; env()', "payload.source", "evil/image:1"]
)


@given(
    use_case=st.sampled_from(["taxi_eta", "tests.usecases.tiny"]) | TEXTS, subject=TEXTS, text=TEXTS, version=TEXTS,
    more=st.dictionaries(st.sampled_from(["image", "template", "source", "url", "x"]), TEXTS, max_size=2),
)  # fmt: skip
def test_whatever_is_sent_only_the_training_of_that_use_case_can_start(
    use_case: str, subject: str, text: str, version: str, more: dict[str, str]
) -> None:
    """Template, account, source and every parameter but three are the same for any event that is taken."""
    body = json.dumps(
        ALERT | more | {"use_case": use_case, "subject": subject, "text": text, "model_version": version}
    ).encode()
    try:
        received = taken(body)
    except RefusedError:
        return
    event = Event(
        1, received.id, received.trigger, received.event.use_case, 0.0, received.event.kind, received.event.subject
    )
    payload = posted(event, "2019-05-12T00:00:00", f"{event.kind} of {event.subject} moved", "s3://ours/")
    delivered = Delivered("e1", "default", "retrain", received.id, json.dumps(payload), {}, 0.0, None, 0.0, [])
    seen = environment(delivered)
    assert is_wanted(BINDING, seen)
    made = workflow_for(BINDING, delivered, seen, lambda *_: {"metadata": {"name": "continuous-training"}, "spec": {}})
    assert set(made["spec"]) == {"workflowTemplateRef", "arguments"}
    assert made["spec"]["workflowTemplateRef"] == {"name": "continuous-training"}
    assert made["metadata"]["name"].startswith(("retrain-taxi-eta-", "retrain-tiny-", "retrain-"))
    given_ = {each["name"]: each["value"] for each in made["spec"]["arguments"]["parameters"]}
    assert given_ == {
        "use-case": received.event.use_case, "source": "s3://ours/", "live": "true", "recent-from": "2019-05-12T00:00:00",
        "champion": f"models:/{received.event.use_case.rpartition('.')[2]}@production", "started-by": "alert",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}x", '{"whsec_x": "a:alert"}', f'{{"{NEW}": "monitor"}}', f'{{"{NEW}": "monitor:admin"}}', f'{{"{NEW}": "A b:alert"}}'],
)  # fmt: skip
def test_wrong_secrets_are_refused_at_the_start_and_not_shown(text: str) -> None:
    """The message has the form that is wanted."""
    with pytest.raises(SettingsError) as error:
        Secrets(text)
    assert NEW not in str(error.value)


def test_a_token_is_for_reading_or_for_alertmanager() -> None:
    """Which may give it as a password, too."""
    tokens = Tokens('{"r": "read", "a": "alertmanager"}')
    basic = base64.b64encode(b"anybody:a").decode()
    given_ = ("Bearer r", "bearer a", f"Basic {basic}", "Bearer x", "Basic a", "Basic \xe9", "", "Digest a")
    assert [tokens.role(each) for each in given_] == ["read", "alertmanager", "alertmanager", *[None] * 5]
    assert Secrets(json.dumps({NEW: "a:alert"})).sender(
        "i", "1", b"", webhooks.sign(NEW, "i", 1, b"")["webhook-signature"]
    ) == Sender("a", "alert")


def test_a_sender_that_sends_too_many_waits_and_others_do_not() -> None:
    """The bucket fills by itself, and a clock that goes back takes nothing away."""
    now = [0.0]
    rates = Rates(lambda: now[0], rate=10.0, burst=20.0)
    assert [rates.wait("flood") for _ in range(21)] == [0.0] * 20 + [0.1]
    assert rates.wait("other", 20) == 0.0
    now[0] = 1.0
    assert [rates.wait("flood", 10), rates.wait("flood")] == [0.0, 0.1]
    now[0] = 0.0
    assert rates.wait("flood") == 0.1
