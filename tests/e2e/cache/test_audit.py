"""A sample of hits runs again: what differs is caught, named, and never used again until its code changes or a person says so."""

from __future__ import annotations

import pytest

from tests.e2e.cache.conftest import Project, node, number
from tiphys.cache.audit import workflow_of
from tiphys.cache.store import Store

pytestmark = pytest.mark.e2e
RANDOM = "import random\n\ndef double(number):\n    return random.getrandbits(64)\n"


def test_a_step_that_gives_the_same_again_stays_in_the_cache(project: Project) -> None:
    """It really runs, under the name of the first run, and says with whose result it agrees."""
    first = project.run(project.step("double"))
    audited = project.run(project.step("double"), cache="audit=1")
    assert project.times() == 2
    assert node(audited).message == f"audited: the same as in {first.name}"
    assert project.told(project.run(project.step("double"))).verdict == "hit"


def test_a_step_that_is_not_deterministic_is_quarantined_with_the_difference_named(project: Project) -> None:
    """From then on it always runs, whatever is kept of it."""
    project.write("shared/arithmetic.py", RANDOM)
    first = project.run(project.step("double"))
    assert number(project.run(project.step("double"))) == number(first)
    audited = project.run(project.step("double"), cache="audit=1")
    assert node(audited).message.startswith(f"quarantined: differs from {first.name}: output number is ")
    told = project.told(project.run(project.step("double")))
    assert told.verdict == "miss"
    assert told.reason.startswith("in quarantine: ran twice with the same key and differed: output number is ")
    assert Store(project.engine.state).entries() == []


def test_a_quarantine_ends_with_other_code_or_when_a_person_lifts_it(project: Project) -> None:
    """Both ways the step is kept again."""
    project.write("shared/arithmetic.py", RANDOM)
    for mode in ("on", "audit=1"):
        project.run(project.step("double"), cache=mode)
    assert Store(project.engine.state).lift("double") == 1
    project.run(project.step("double"))
    assert project.told(project.run(project.step("double"))).verdict == "hit"
    project.run(project.step("double"), cache="audit=1")
    project.write("shared/arithmetic.py", "def double(number):\n    return 2 * number\n")
    project.run(project.step("double"))
    assert project.told(project.run(project.step("double"))).verdict == "hit"


def test_what_the_contract_calls_a_measurement_may_differ(project: Project, evidence: object) -> None:
    """Figures of the same worth are no reason for a quarantine."""
    assert callable(evidence)
    project.write("shared/arithmetic.py", RANDOM)
    step = project.step("double", annotations=evidence(measured=["number", "report"]))
    for mode in ("on", "audit=1", "on"):
        last = project.run(step, cache=mode)
    assert project.told(last).verdict == "hit"


def test_what_a_step_tells_of_its_own_run_says_on_a_hit_that_nothing_was_done(
    project: Project, evidence: object
) -> None:
    """An output such as the number of months that were computed."""
    assert callable(evidence)
    step = project.step("double", annotations=evidence(told={"number": "0"}))
    assert [number(project.run(step)) for _ in range(2)] == ["42", "0"]


def test_a_step_that_writes_its_runs_name_down_gets_the_first_ones_in_an_audit(project: Project) -> None:
    """Provenance is no difference: it is what it was when the result was made."""
    project.write("shared/arithmetic.py", "import os\n\ndef double(number):\n    return os.environ['TIPHYS_RUN']\n")
    first = project.run(project.step("double"))
    audited = project.run(project.step("double"), cache="audit=1")
    assert number(audited) == first.name
    assert node(audited).message.startswith("audited: the same")


def test_an_audit_runs_a_kept_result_again_by_itself(project: Project) -> None:
    """The step as it ran, without the workflow around it; nothing runs whose key is another by now."""
    outer = {"name": "outer", "steps": [[{"name": "inner", "template": "double", "arguments": {"parameters": [{"name": "number", "value": "7"}]}}]]}  # fmt: skip
    first = project.run(outer, project.step("double"))
    entry = Store(project.engine.state).entries()[0]
    again = project.engine.run(project.engine.submit([workflow_of(entry) or {}]), handle_signals=False)
    assert node(again).message == f"audited: the same as in {first.name}"
    project.write("shared/arithmetic.py", "def double(number):\n    return 0\n")
    passed = project.engine.run(project.engine.submit([workflow_of(entry) or {}]), handle_signals=False)
    assert passed.phase == "Succeeded"
    assert node(passed).message.startswith("not run again: code: shared/arithmetic.py changed")
    assert project.times() == 2
