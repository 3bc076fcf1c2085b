"""Which months are computed, and what a version is called."""

from __future__ import annotations

import dataclasses

import pytest

from components.etl.plan import make
from tiphys.errors import DataError
from tiphys.lake.raw import Manifest, RawFile
from tiphys.usecase import Column, DataContract, Rule

pytestmark = pytest.mark.unit

CONTRACT = DataContract(
    table="rides",
    columns=(Column("start", "timestamp", "when"),),
    time="start",
    derived=(),
    rules=(Rule("late", "start > '2030-01-01'"),),
    bounds={},
    min_rows_per_month=1,
    max_reject_share=1.0,
)
ALL = ("", "")


def raw(content: str, *months: str, name: str = "x.csv") -> RawFile:
    """A file of that content about those months."""
    return RawFile(
        name=name, uri="s3://raw/x", sha256=content * 64, bytes=1, format="csv", header="start",
        fields={"start": "start"}, rows=10, months=months,
    )  # fmt: skip


def manifest(*files: RawFile) -> Manifest:
    """A manifest of those files."""
    return Manifest(use_case="u", files=files)


def test_the_same_content_gets_the_same_tag_whatever_it_is_called() -> None:
    """Names and order of files do not count."""
    one = make(manifest(raw("a", "2019-01"), raw("b", "2019-02")), CONTRACT, ALL, {})
    other = make(manifest(raw("b", "2019-02", name="y.csv"), raw("a", "2019-01")), CONTRACT, ALL, {})
    assert one.tag == other.tag
    assert one.changed == ("2019-01", "2019-02")


def test_an_unchanged_version_computes_nothing() -> None:
    """It starts from itself."""
    files = manifest(raw("a", "2019-01"))
    first = make(files, CONTRACT, ALL, {})
    again = make(files, CONTRACT, ALL, {first.tag: first.digests})
    assert (again.base, again.changed, again.dropped) == (first.tag, (), ())


def test_only_the_month_with_another_file_is_computed() -> None:
    """The rest is taken over from the version that shares most."""
    old = make(manifest(raw("a", "2019-01"), raw("b", "2019-02")), CONTRACT, ALL, {})
    less = make(manifest(raw("a", "2019-01")), CONTRACT, ALL, {})
    known = {less.tag: less.digests, old.tag: old.digests}
    new = make(manifest(raw("a", "2019-01"), raw("b", "2019-02"), raw("c", "2019-03")), CONTRACT, ALL, known)
    assert (new.base, new.changed) == (old.tag, ("2019-03",))
    assert [each.sha256[0] for each in new.files] == ["c"]


def test_a_file_about_two_months_changes_both() -> None:
    """A month is made of all files that contribute to it."""
    old = make(manifest(raw("a", "2019-01"), raw("b", "2019-02")), CONTRACT, ALL, {})
    new = make(
        manifest(raw("a", "2019-01"), raw("b", "2019-02"), raw("c", "2019-02", "2019-01")),
        CONTRACT,
        ALL,
        {old.tag: old.digests},
    )
    assert new.changed == ("2019-01", "2019-02")


def test_a_window_drops_the_months_outside() -> None:
    """Nothing is computed for it."""
    files = manifest(raw("a", "2019-01"), raw("b", "2019-02"), raw("c", "2019-03"))
    old = make(files, CONTRACT, ALL, {})
    new = make(files, CONTRACT, ("2019-02", "2019-03"), {old.tag: old.digests})
    assert (new.changed, new.dropped) == ((), ("2019-01",))
    assert new.tag != old.tag


def test_another_rule_computes_every_month_anew() -> None:
    """The contract is part of what a month is made of; limits of whole versions are not."""
    old = make(manifest(raw("a", "2019-01")), CONTRACT, ALL, {})
    ruled = dataclasses.replace(CONTRACT, rules=())
    limited = dataclasses.replace(CONTRACT, max_reject_share=0.5)
    assert make(manifest(raw("a", "2019-01")), ruled, ALL, {old.tag: old.digests}).changed == ("2019-01",)
    assert make(manifest(raw("a", "2019-01")), limited, ALL, {old.tag: old.digests}).changed == ()


def test_a_window_without_rows_names_what_there_is() -> None:
    """The message tells which months could be asked for."""
    with pytest.raises(DataError, match=r"2020-01.*they have 2019-01\.\.2019-01"):
        make(manifest(raw("a", "2019-01")), CONTRACT, ("2020-01", ""), {})
