"""Functions that Hera's own runner calls: unchanged Hera, in a private root, typed values in and out."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tiphys.engine import Engine, load_text
from tiphys.engine.images import Image

pytestmark = pytest.mark.e2e
MODULE = """
from typing import Annotated

from pydantic import BaseModel

from hera.workflows import DAG, Artifact, ArtifactLoader, Input, Output, Parameter, Workflow, script

IMAGE = "numbers/pipeline:1"


class Spread(BaseModel):
    low: int
    high: int


class Wanted(Input):
    spread: Spread
    note: Annotated[str, Parameter(name="note")] = "none"


class Made(Output):
    count: Annotated[int, Parameter(name="count")]
    numbers: Annotated[list[int], Artifact(name="numbers")]


@script(constructor="runner", image=IMAGE)
def make(wanted: Wanted) -> Made:
    found = list(range(wanted.spread.low, wanted.spread.high))
    return Made(count=len(found), numbers=found)


@script(constructor="runner", image=IMAGE)
def add(
    numbers: Annotated[list[int], Artifact(name="numbers", loader=ArtifactLoader.json)], count: int
) -> Annotated[int, Parameter(name="total")]:
    assert len(numbers) == count
    return sum(numbers)


@script(constructor="runner", image=IMAGE)
def refuse(count: int) -> Output:
    return Output(exit_code=3)


def workflow(spread: str) -> Workflow:
    with Workflow(name="numbers", entrypoint="main") as made:
        with DAG(name="main"):
            first = make(arguments={"spread": spread, "note": "it's \\"quoted\\" & {odd}"})
            for task, call in (("one", add), ("two", add)):
                call(name=task, arguments=[first.get_artifact("numbers"), first.get_parameter("count")]).depends = "make"
            refuse(arguments={"count": first.get_parameter("count")}).depends = "make"
    return made
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that manifest and image share, as a package would be."""
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "numbers_pipeline.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module("numbers_pipeline")
    del sys.modules["numbers_pipeline"]


def test_values_and_artifacts_pass_between_functions(module: ModuleType, tmp_path: Path) -> None:
    """Models, lists and exit codes arrive as Hera's types; two functions read the same constant path at once."""
    folder = str(tmp_path / "image")
    image = Image("numbers/*", (str(Path(sys.executable).parent),), folder, {"PYTHONPATH": folder})
    engine = Engine(tmp_path / "state", images=[image], keep=[Path(folder), Path(sys.prefix)])
    text = module.workflow(json.dumps({"low": 1, "high": 5})).to_yaml()
    result = engine.run(engine.submit(load_text(text)), handle_signals=False)
    nodes = {node.display_name: node for node in result.nodes.values()}
    phases = {name: node.phase for name, node in nodes.items() if name != "numbers"}
    assert phases == {"make": "Succeeded", "one": "Succeeded", "two": "Succeeded", "refuse": "Failed"}, {
        name: node.message for name, node in nodes.items()
    }
    totals = [{e["name"]: e["value"] for e in (nodes[name].outputs or {})["parameters"]} for name in ("one", "two")]
    assert totals == [{"total": "10"}, {"total": "10"}]
    assert nodes["refuse"].message == "main: Error (exit code 3)"


def test_a_value_of_the_wrong_type_fails_in_the_function(module: ModuleType, tmp_path: Path) -> None:
    """Hera's own message is in the log."""
    folder = str(tmp_path / "image")
    image = Image("numbers/*", (str(Path(sys.executable).parent),), folder, {"PYTHONPATH": folder})
    engine = Engine(tmp_path / "state", images=[image], keep=[Path(folder), Path(sys.prefix)])
    text = module.workflow(json.dumps({"low": "abc", "high": 5})).to_yaml()
    result = engine.run(engine.submit(load_text(text)), handle_signals=False)
    failed = next(node for node in result.nodes.values() if node.display_name == "make")
    assert (failed.phase, failed.message) == ("Failed", "main: Error (exit code 1)")
    assert "valid integer" in engine.log_path(result.name, failed.id).read_text(encoding="utf-8")
