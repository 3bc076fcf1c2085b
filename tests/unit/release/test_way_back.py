"""Where a rollback goes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.release.records import Recorded, ReleaseKind
from tiphys.release.way_back import same, way_back

pytestmark = pytest.mark.unit


def history(*what: str) -> list[Recorded]:
    """Releases of versions in order; ``<2`` is a rollback to version 2, ``-2`` a withdrawal of it."""
    kinds: dict[str, ReleaseKind] = {"<": "rollback", "-": "withdrawal"}
    return [
        Recorded(
            use_case="tiny", model_version=f"models:/tiny/{each.lstrip('<-')}", repository="s3://models/tiny/",
            manifest_sha256="0" * 64, kind=kinds.get(each[0], "release"), environment="production",
            generation=number + 1, made_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for number, each in enumerate(what)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("releases", "way"),
    [
        ("", ""),
        ("1", "1"),
        ("1 2 3", "3 2 1"),
        ("1 2 2 2", "2 1"),
        ("1 2 3 <2", "2 1"),
        ("1 2 3 <2 <1", "1"),
        ("1 2 3 <2 4", "4 2 1"),
        ("1 2 3 <2 3", "3 2 1"),
        ("1 2 3 <1", "1"),
        ("1 2 -2", "2 1"),
        ("2 <1", "1 2"),
    ],
)
def test_what_was_rolled_back_from_is_off_the_way(releases: str, way: str) -> None:
    """The nearest first; two rollbacks in a row go two releases back."""
    assert [each.number for each in way_back(history(*releases.split()))] == way.split()


def test_what_its_agent_refused_never_served() -> None:
    """Generation 3 failed: from 4 the way leads to 2."""
    assert [each.number for each in way_back(history("1", "2", "3", "4"), {3})] == ["4", "2", "1"]


@given(st.lists(st.sampled_from("123456"), min_size=1, max_size=30))
def test_rolling_back_again_and_again_ends_at_the_first(versions: list[str]) -> None:
    """Each rollback shortens the way by one, whatever was released before."""
    done = history(*versions)
    while len(way := way_back(done)) > 1:
        back = way[1].model_copy(update={"kind": "rollback", "generation": done[-1].generation + 1})
        done.append(back)
        assert len(way_back(done)) == len(way) - 1
        assert same(way_back(done)[0], back)
