"""Contract of ``test-code``: what it takes, what it tells."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from tiphys.step import Access, Contract, Resources, StepInputs, StepOutputs, artifact


class Inputs(StepInputs):
    """Which code, and which of its tests."""

    source: str = Field(description="the code as a git bundle: s3://landing/source/COMMIT.bundle")
    commit: str = Field(description="commit that must be in it; all digits")
    tests: str = Field("tests/unit", description="folders or files of tests, with spaces; those marked unit are run")


class Outputs(StepOutputs):
    """What was run."""

    passed: int = Field(description="tests that passed; count")
    report: Path = artifact("tests.xml", "every test with its outcome, in JUnit's form")


CONTRACT = Contract(
    name="test_code",
    summary="Run the unit tests of a git revision in a clean environment.",
    inputs=Inputs,
    outputs=Outputs,
    effects="external",
    access=Access(read=("landing",), outside=True),
    resources=Resources(cpu="1", memory="2Gi", memory_limit="4Gi", scratch="16Gi"),
    timeout="1h",
)
