"""What stands below the tree of `tiphys run`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tiphys.cli.afterword import afterword

pytestmark = pytest.mark.unit


def said(**told: str) -> list[str]:
    """The lines after a run that told this, with no server to name."""
    parameters = [{"name": name.replace("_", "-"), "value": value} for name, value in told.items()]
    run = SimpleNamespace(outputs={"parameters": parameters}, phase="Succeeded", nodes={}, name="promote-1")
    engine = SimpleNamespace(objects=SimpleNamespace(data=lambda *_: None))
    return afterword(cast("Any", engine), cast("Any", run), Path("/nowhere"))


def test_a_workflow_without_a_summary_ends_with_what_its_steps_told() -> None:
    """A promotion on its own says what serves; a long text is cut."""
    lines = said(promote_serving="taxi_eta version 1", promote_changed="False", why="so " * 100, page="a\nb\n")
    assert lines[:3] == ["", "promote-serving  taxi_eta version 1", "promote-changed  False"]
    assert lines[3].endswith("…")
    assert lines[4] == "page             a…"


def test_a_workflow_that_tells_nothing_ends_with_its_tree() -> None:
    """Any Argo workflow is one."""
    assert said() == []


def test_a_summary_stands_for_all_else() -> None:
    """It was laid out for a person; the rest is `tiphys get`'s."""
    lines = said(summary_text="run  Succeeded", promote_changed="False")
    assert lines[:2] == ["", "run  Succeeded"]
    assert not any("promote-changed" in line for line in lines)
