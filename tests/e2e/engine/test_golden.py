"""What a real Argo did with 163 small workflows, the engine does too."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, load_text
from tiphys.engine.argo_shape import workflow_json

pytestmark = pytest.mark.e2e
GOLDEN = Path(__file__).resolve().parents[3].parent / "shared" / "argo" / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))
# Where the engine differs on purpose, and why.
DELIBERATE = {
    "failed-steps-outputs": "a task that waits for an output which will never come hangs on Argo; ours ends in Error",
    "unclosed-braces-at-run-time": "ours quotes the text with the open tag, not the whole template as Go prints it",
}
NOT_YET: dict[str, str] = {}


def oracle() -> Any:
    """The oracle's own normaliser."""
    spec = importlib.util.spec_from_file_location("golden_normalise", GOLDEN / "normalise.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not CASES, reason="the recorded cases are not beside this checkout")
@pytest.mark.parametrize("case", [name for name in CASES if name not in DELIBERATE])
def test_it_does_what_argo_did(case: str, tmp_path: Path) -> None:
    """It does what argo did."""
    if case in NOT_YET:
        pytest.xfail(NOT_YET[case])
    expected = json.loads((GOLDEN / f"{case}.json").read_text())
    engine = Engine(tmp_path / "state", namespace="argo")
    documents = load_text((GOLDEN / f"{case}.yaml").read_text())
    if "rejected" in expected:
        with pytest.raises(ManifestError):
            engine.submit(documents)
        return
    run = engine.run(engine.submit(documents), handle_signals=False)
    shape = json.loads(json.dumps(workflow_json(run)))
    assert json.loads(oracle().normalise(shape)) == expected


@pytest.mark.skipif(not CASES, reason="the recorded cases are not beside this checkout")
def test_the_count_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """The count is known."""
    passing = len(CASES) - len(DELIBERATE) - len(NOT_YET)
    with capsys.disabled():
        sys.stdout.write(
            f"\ngolden cases: {passing} of {len(CASES)} as Argo, {len(DELIBERATE)} differ on purpose" + "\n"
        )
    assert set(DELIBERATE) | set(NOT_YET) <= set(CASES)


@pytest.mark.skipif(not CASES, reason="the recorded cases are not beside this checkout")
def test_a_task_that_waits_for_ever_on_argo_ends_in_error_and_says_why(tmp_path: Path) -> None:
    """A task that waits for ever on argo ends in error and says why."""
    engine = Engine(tmp_path / "state")
    documents = load_text((GOLDEN / "failed-steps-outputs.yaml").read_text())
    run = engine.run(engine.submit(documents), handle_signals=False)
    waits = next(node for node in run.nodes.values() if node.display_name == "waits")
    assert waits.phase == "Error"
    assert re.search(r"failed to resolve \{\{tasks\.inner\.outputs", waits.message)
