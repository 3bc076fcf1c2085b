"""The step contract: inputs from one JSON file, outputs through files, exit codes that say whether to retry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, ValidationError

from tiphys.settings import RunSettings
from tiphys.step import Context, Contract, StepInputs, StepOutputs, artifact, contracts

pytestmark = pytest.mark.unit


class Window(BaseModel):
    """A structured input."""

    first: int
    last: int


class Inputs(StepInputs):
    """One of each kind."""

    use_case: str = Field(description="text")
    rows: int = Field(3, description="whole number")
    share: float | None = Field(None, description="may be absent")
    promote: bool = Field(default=True, description="yes or no")
    names: list[str] = Field(default_factory=list, description="a list")
    window: Window | None = Field(None, description="an object")


class Outputs(StepOutputs):
    """Parameters and a file."""

    rows: int = Field(description="how many")
    name: str = Field(description="text")
    metrics: dict[str, float] = Field(description="figures")
    report: Path = artifact("report.html", "a page")


def context(folder: Path) -> Context:
    """Make a context below a folder."""
    run = RunSettings(run="r", node="n", attempt="2", revision="abc")
    return Context(run, folder / "artifacts", folder / "outputs")


def test_text_becomes_the_fields_type_under_kebab_case_names() -> None:
    """Argo hands over text only, under names with hyphens."""
    given = {"use-case": "x", "rows": "7", "promote": "false", "names": '["a","b"]', "window": '{"first":1,"last":2}'}
    inputs = Inputs.model_validate(given)
    assert inputs == Inputs(use_case="x", rows=7, promote=False, names=["a", "b"], window=Window(first=1, last=2))


def test_empty_text_is_none_where_none_is_allowed() -> None:
    """A parameter left empty in a form means: not given."""
    assert Inputs.model_validate({"use-case": "", "share": "", "window": ""}) == Inputs(use_case="")


def test_an_unknown_input_is_refused() -> None:
    """A misspelt parameter never passes silently."""
    with pytest.raises(ValidationError, match="usecase"):
        Inputs.model_validate({"use_case": "x", "usecase": "y"})


@pytest.mark.parametrize("text", ["'; touch x #", "$(SECRET)", "$$", "`id`", "a\nb", "--flag", '{"a": 1}', "é"])
def test_text_that_looks_like_code_stays_text(text: str) -> None:
    """Strings reach the step byte for byte, JSON-looking ones too."""
    assert Inputs.model_validate({"use-case": text}).use_case == text


def test_outputs_leave_through_one_file_each(tmp_path: Path) -> None:
    """Text is written plain, anything else as JSON; artifacts are no parameters."""
    here = context(tmp_path)
    here.publish(Outputs(rows=3, name="a b", metrics={"mae": 1.5}, report=here.artifact("report.html")))
    written = {each.name: each.read_text() for each in (tmp_path / "outputs").iterdir()}
    assert written == {"rows": "3", "name": "a b", "metrics": json.dumps({"mae": 1.5})}


def test_a_contract_tells_parameters_from_artifacts() -> None:
    """A Path field is a file, any other a parameter."""
    contract = Contract("load_test", "s", Inputs, Outputs, "pure")
    assert list(contract.parameters()) == ["rows", "name", "metrics"]
    assert contract.artifacts() == {"report": "report.html"}
    assert contract.template == "load-test"


def test_every_component_has_a_contract_of_its_own_name() -> None:
    """One step has one name everywhere, and every field says what it means."""
    found = contracts()
    assert "summary" in found
    for name, contract in found.items():
        assert contract.name == name
        for fields in (contract.inputs.model_fields, contract.outputs.model_fields):
            assert all(each.description for each in fields.values()), name


def test_the_context_knows_its_attempt(tmp_path: Path) -> None:
    """An attempt that Argo left as a tag counts as the first."""
    assert context(tmp_path).attempt == 2
    assert Context(RunSettings("r", "n", "{{retries}}", ""), tmp_path, tmp_path).attempt == 0
