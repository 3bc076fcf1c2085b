"""What a real Argo did with 163 small workflows, the engine does too."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tiphys.engine import Engine, load_text
from tiphys.engine.differences import DELIBERATE, REFUSALS
from tiphys.engine.parity import AS_ARGO, DELIBERATELY, Case, cases, judge

pytestmark = pytest.mark.e2e
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "argo"
CASES = cases(GOLDEN)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_it_does_what_argo_did(case: Case, tmp_path: Path) -> None:
    """Phases, messages, inputs, outputs, names and edges; or what the list of deliberate differences says."""
    found = judge(case, Engine(tmp_path / "state", namespace="argo"))
    wanted = DELIBERATELY if case.name in DELIBERATE else AS_ARGO
    assert found.verdict == wanted, found.detail


def test_the_count_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """The list names recorded cases only."""
    with capsys.disabled():
        passing = len(CASES) - len(DELIBERATE)
        sys.stdout.write(f"\ngolden cases: {passing} of {len(CASES)} as Argo, {len(DELIBERATE)} differ on purpose\n")
    assert set(DELIBERATE) | set(REFUSALS) <= {case.name for case in CASES}
    assert all(case.recorded for case in CASES)


def test_a_task_that_waits_for_ever_on_argo_ends_in_error_and_says_why(tmp_path: Path) -> None:
    """A person reads which output is missing."""
    engine = Engine(tmp_path / "state")
    documents = load_text((GOLDEN / "failed-steps-outputs.yaml").read_text())
    run = engine.run(engine.submit(documents), handle_signals=False)
    waits = next(node for node in run.nodes.values() if node.display_name == "waits")
    assert waits.phase == "Error"
    assert re.search(r"failed to resolve \{\{tasks\.inner\.outputs", waits.message)
