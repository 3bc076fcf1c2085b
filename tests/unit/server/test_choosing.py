"""How the server reads what a client chooses: labels, fields, names, pages, and what a token may do."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers, QueryParams

from tiphys.engine.journal import Summary
from tiphys.engine.server.bodies import parse
from tiphys.engine.server.fields import Fields
from tiphys.engine.server.listing import page, parse_choice
from tiphys.engine.server.naming import check_path
from tiphys.engine.server.query import Query
from tiphys.engine.server.refusals import Refusal
from tiphys.engine.server.selectors import all_hold, parse_labels
from tiphys.engine.server.tokens import Tokens

pytestmark = pytest.mark.unit
LABELS = {"app": "x", "tier": "back", "n": "5"}
WORKFLOW = {
    "metadata": {"name": "a", "uid": "u"},
    "spec": {"x": 1},
    "status": {"phase": "Running", "nodes": {"n": {"id": "n"}}},
}


def _status(call: Callable[[], object]) -> int:
    """The status of a refusal; 0 where there is none."""
    try:
        call()
    except Refusal as refusal:
        return refusal.status
    return 0


@pytest.mark.parametrize(
    ("selector", "holds"),
    [
        ("", True), ("app=x", True), ("app==x", True), ("app = x , tier=back", True), ("app=y", False), ("app!=y", True),
        ("other!=y", True), ("app in (x,y)", True), ("app notin (x)", False), ("other notin (x)", True), ("app", True),
        ("!app", False), ("!other", True), ("n>4", True), ("n<4", False), ("app>4", False), ("app in (x),!other,n", True),
        ("other=", False), ("a/b.c=d", False),
    ],
)  # fmt: skip
def test_a_label_selector_means_what_it_does_in_kubernetes(selector: str, holds: bool) -> None:  # noqa: FBT001
    """Each form, alone and together."""
    assert all_hold(parse_labels(selector), LABELS) is holds


@given(st.text(max_size=40))
def test_any_label_selector_is_read_or_refused(selector: str) -> None:
    """Nothing else can come of it."""
    assert _status(lambda: all_hold(parse_labels(selector), LABELS)) in (0, 400)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ("", WORKFLOW),
        ("metadata.name", {"metadata": {"name": "a"}}),
        ("status.phase,spec", {"spec": {"x": 1}, "status": {"phase": "Running"}}),
        ("-status.nodes", {**WORKFLOW, "status": {"phase": "Running"}}),
        ("-metadata,spec", {"status": WORKFLOW["status"]}),
        ("nothing", {}),
    ],
)
def test_fields_are_chosen_or_left_out(fields: str, kept: object) -> None:
    """By dotted paths; a minus leaves all of them out."""
    assert Fields.parse(fields).clean(WORKFLOW) == kept


def test_fields_of_a_list_and_of_a_watch_have_a_prefix() -> None:
    """`items.` names each item's; `result.object.` is not a part of the object."""
    assert Fields.parse("items.metadata.name").clean([WORKFLOW], "items") == [{"metadata": {"name": "a"}}]
    assert Fields.parse("result.type,result.object.spec.x", "result.object.").clean(WORKFLOW) == {"spec": {"x": 1}}


RUNS = [Summary(f"run-{number}", "Succeeded", float(number), number + 1.0, "", number, f"u{number}", "default" if number % 2 else "other", {"n": str(number)}) for number in range(10)]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", list(range(10))),
        ("listOptions.limit=3", [0, 1, 2]),
        ("listOptions.limit=3&listOptions.continue=8", [8, 9]),
        ("listOptions.labelSelector=n in (3,4)", [3, 4]),
        ("listOptions.labelSelector=workflows.argoproj.io/phase=Failed", []),
        ("listOptions.labelSelector=workflows.argoproj.io/completed=true&listOptions.limit=1", [0]),
        ("listOptions.fieldSelector=metadata.name=run-3", [3]),
        ("listOptions.fieldSelector=metadata.name!=run-3,metadata.namespace=default", [1, 5, 7, 9]),
        ("listOptions.fieldSelector=metadata.name=n-&nameFilter=Contains", list(range(10))),
        ("listOptions.fieldSelector=metadata.name=run-1&nameFilter=Prefix", [1]),
        ("createdAfter=1970-01-01T00:00:07Z", [8, 9]),
        ("finishedBefore=1970-01-01T00:00:03Z", [0, 1]),
        ("listOptions.fieldSelector=spec.startedAt>1970-01-01T00:00:08Z", [9]),
    ],
)
def test_a_list_is_what_its_query_says(query: str, names: list[int]) -> None:
    """Page, labels, fields, names and times."""
    asked = Query(QueryParams(query))

    found = page(RUNS, parse_choice(asked, ""), asked)

    assert [each.name for each in found.items] == [f"run-{number}" for number in names]


def test_pages_put_together_are_the_whole_list() -> None:
    """`continue` leads from each to the next, and is empty on the last."""
    seen, following = [], "0"
    while following:
        asked = Query(QueryParams(f"listOptions.limit=4&listOptions.continue={following}"))
        found = page(RUNS, parse_choice(asked, ""), asked)
        seen += found.items
        following = found.following
    assert seen == RUNS


@given(st.binary(max_size=200))
def test_any_body_is_json_or_refused(body: bytes) -> None:
    """Never an error of ours; what is taken can be written again as UTF-8."""
    assert _status(lambda: json.dumps(parse(body), ensure_ascii=False).encode()) in (0, 400)


@given(st.dictionaries(st.sampled_from(["namespace", "name", "uid", "nodeId"]), st.text(max_size=30)))
def test_any_path_is_taken_or_refused(path: dict[str, str]) -> None:
    """What is taken holds no NUL, no slash, and does not climb."""
    if not _status(lambda: check_path(path)):
        assert all("\0" not in value and "/" not in value and value not in (".", "..") for value in path.values())


@pytest.mark.parametrize(
    ("token", "method", "path", "status"),
    [
        ("a", "GET", "/api/v1/workflows/x", 0), ("a", "POST", "/api/v1/events/x/y", 0), ("e", "POST", "/api/v1/events/x/y", 0),
        ("e", "GET", "/api/v1/events/x/y", 403), ("e", "POST", "/api/v1/workflows/x", 403), ("e", "GET", "/", 403),
        ("b", "GET", "/", 401), ("", "GET", "/", 401), ("A", "GET", "/", 401), ("aa", "GET", "/", 401),
    ],
)  # fmt: skip
def test_a_token_may_do_what_its_role_may(token: str, method: str, path: str, status: int) -> None:
    """An administrator all, a sender of events only that, nobody nothing."""
    tokens = Tokens({"a": "admin", "e": "events"})
    headers = Headers({"authorization": f"Bearer {token}"})

    assert _status(lambda: tokens.admit(method, path, headers)) == status


@pytest.mark.parametrize("tokens", [{"": "admin"}, {"x": "root"}])
def test_tokens_without_text_or_role_are_refused_at_the_start(tokens: dict[str, str]) -> None:
    """No server runs with a token that everybody has."""
    with pytest.raises(ValueError, match="a token needs a text and a role"):
        Tokens(tokens)
