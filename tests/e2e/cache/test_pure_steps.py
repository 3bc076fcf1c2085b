"""A pure step runs once, and again only when something has changed that decides what comes out of it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cache.conftest import Project, node, number
from tiphys.cache.store import Store
from tiphys.engine.argo_shape import workflow_json

pytestmark = pytest.mark.e2e
CONFIG: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}


def test_an_unchanged_step_is_not_run_again_and_says_whose_result_it_has(project: Project) -> None:
    """No process; the node, the JSON of the API and the log name the run."""
    first, second = (project.run(project.step("double")) for _ in range(2))
    assert project.times() == 1
    assert number(first) == number(second) == "42"
    assert node(second).message.startswith(f"cached: from {first.name} (")
    status = next(iter(workflow_json(second)["status"]["nodes"].values()))["memoizationStatus"]
    assert status["hit"]
    assert status["cacheName"] == "tiphys"
    log = project.engine.log_path(second.name, second.name).read_text()
    assert f"cached: from {first.name}" in log


def test_a_changed_shared_module_is_a_miss_that_names_it_and_nothing_else_runs(project: Project) -> None:
    """Of two steps only the one runs that imports it, however far away."""
    both = {"name": "both", "steps": [[{"name": each, "template": each} for each in ("double", "square")]]}
    templates = (both, project.step("double"), project.step("square"))
    project.run(*templates)
    project.write(
        "shared/arithmetic.py", "from shared.deep import TWICE\n\ndef double(number):\n    return TWICE * number\n"
    )
    project.write("shared/deep.py", "TWICE = 2\n")
    project.run(*templates)
    project.write("shared/deep.py", "TWICE = 3\n")
    third = project.run(*templates)
    assert (project.times("double"), project.times("square")) == (3, 1)
    assert number(third, "[0].double") == "63"
    assert "code: shared/deep.py changed" in project.told(third, "[0].double").reason
    assert project.told(third, "[0].square").verdict == "hit"


def test_a_file_that_the_step_does_not_import_changes_nothing(project: Project) -> None:
    """Only the closure counts."""
    project.run(project.step("double"))
    project.write("other/powers.py", "def square(number):\n    return 0\n")
    project.write("steps/new.py", "print('nobody imports me')\n")
    assert project.told(project.run(project.step("double"))).verdict == "hit"


@pytest.mark.parametrize("path", ["shared/table.json", "json.py", "sitecustomize.py"])
def test_a_file_that_comes_beside_the_code_or_before_a_library_is_a_miss(project: Project, path: str) -> None:
    """Data that it may read, and a module that takes the place of Python's own."""
    project.run(project.step("double"))
    project.write(path, "")
    again = project.told(project.run(project.step("double")))
    assert again.verdict == "miss"
    assert f"{path} new" in again.reason


def test_another_parameter_template_or_edited_config_map_is_a_miss_that_names_it(project: Project) -> None:
    """By value, and back at the old one the old result is there."""
    step = project.step("double", envFrom=[{"configMapRef": {"name": "settings"}}])
    project.engine.apply([{**CONFIG, "data": {"COLOUR": "red", "SIZE": "1"}}])
    project.run(step)
    project.engine.apply([{**CONFIG, "data": {"COLOUR": "blue", "SIZE": "1"}}])
    assert project.told(project.run(step)).reason == "config COLOUR is blue, was red"
    project.engine.apply([{**CONFIG, "data": {"COLOUR": "red", "SIZE": "1"}}])
    assert project.told(project.run(step)).verdict == "hit"
    other = project.step("double", envFrom=[{"configMapRef": {"name": "settings"}}])
    other["inputs"]["parameters"][0]["default"] = "5"
    assert "parameter number is 5, was 21" in project.told(project.run(other)).reason
    larger = {**step, "container": {**step["container"], "resources": {"limits": {"memory": "1Gi"}}}}
    assert "container resources is new" in project.told(project.run(larger)).reason


def test_an_input_artifact_counts_by_its_content(project: Project) -> None:
    """Another key with the same bytes is a hit, the same key with other bytes is not."""
    stored = project.engine.state / "artifacts"
    stored.mkdir(parents=True)
    step = project.step("double")
    for key, content, verdict in (("a", "one", "miss"), ("b", "one", "hit"), ("b", "two", "miss")):
        (stored / key).write_text(content)
        step["inputs"]["artifacts"] = [
            {"name": "table", "path": "/tmp/table", "s3": {"key": key}, "archive": {"none": {}}}
        ]
        told = project.told(project.run(step))
        assert told.verdict == verdict, (key, content, told.reason)


@pytest.mark.parametrize("harm", ["gone", "other"])
def test_a_result_whose_artifact_is_gone_or_another_is_not_used(project: Project, harm: str) -> None:
    """It says which, and the step runs."""
    first = project.run(project.step("double"))
    path = project.engine.state / "artifacts" / (node(first).outputs or {})["artifacts"][0]["s3"]["key"]
    if harm == "gone":
        shutil.rmtree(project.engine.state / "artifacts" / first.name)
    else:
        path.write_text("twice 21 is 43")
    told = project.told(project.run(project.step("double")))
    assert told.verdict == "miss"
    assert "artifact report is gone, or another" in told.reason
    assert project.times() == 2


def test_a_hit_has_artifacts_of_its_own(project: Project) -> None:
    """What is later deleted of either run is not missed by the other."""
    project.run(project.step("double"))
    second = project.run(project.step("double"))
    key = (node(second).outputs or {})["artifacts"][0]["s3"]["key"]
    assert key.startswith(f"{second.name}/")
    assert (project.engine.state / "artifacts" / key).read_text() == "twice 21 is 42"


def test_two_steps_that_miss_the_same_key_at_once_both_run(project: Project) -> None:
    """One result is kept, and it is whole."""
    both = {"name": "both", "steps": [[{"name": each, "template": "double"} for each in ("left", "right")]]}
    run = project.run(both, project.step("double"))
    assert run.phase == "Succeeded"
    assert project.times() == 2
    assert len(Store(project.engine.state).entries()) == 1
    assert project.told(project.run(both, project.step("double"))).verdict == "hit"


def test_a_step_that_failed_first_is_kept_when_a_retry_succeeds(project: Project) -> None:
    """Only what Succeeded is kept; the Retry node of a hit says so, too."""
    project.write("steps/double.py", "import pathlib, sys\nif not pathlib.Path(sys.argv[3]).exists():\n"
                  "    pathlib.Path(sys.argv[3]).touch()\n    sys.exit(1)\n" + (project.folder / "steps/double.py").read_text())  # fmt: skip
    step = {**project.step("double"), "retryStrategy": {"limit": 2}}
    assert project.run(step).phase == "Succeeded"
    second = project.run(step)
    assert project.times() == 1
    assert node(second).type == "Retry"
    assert node(second).message.startswith("cached: from ")


def test_no_cache_runs_everything_and_keeps_what_came_out(project: Project) -> None:
    """As `tiphys run --no-cache` asks."""
    project.run(project.step("double"))
    forced = project.run(project.step("double"), cache="off")
    assert project.times() == 2
    assert project.told(project.run(project.step("double"))).source == forced.name


def test_code_that_changes_while_the_step_runs_is_not_kept_under_the_old_key(project: Project) -> None:
    """Nobody can say which of both it was."""
    source = project.folder / "shared" / "arithmetic.py"
    project.write("steps/double.py", f"import pathlib\npathlib.Path({str(source)!r}).open('a').write('# edited\\n')\n"
                  + (project.folder / "steps/double.py").read_text())  # fmt: skip
    told = project.told(project.run(project.step("double")))
    assert told.kept == "code changed while it ran"
    assert Store(project.engine.state).entries() == []


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"command": ["sh", "-c", "true"], "args": []}, "what 'sh -c true' does can't be known"),
        ({"env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}, ""),
        ({"env": [{"name": "PYTHONPATH", "value": "/elsewhere"}]}, "its environment sets PYTHONPATH"),
        ({"env": [{"name": "LD_PRELOAD", "value": ""}, {"name": "LD_PRELOAD", "value": "x.so"}]}, "sets LD_PRELOAD"),
        ({"workingDir": "/tmp"}, "it works in /tmp"),
    ],
)
def test_what_nobody_can_know_is_never_cached(project: Project, container: dict[str, Any], reason: str) -> None:
    """A shell's text, code from elsewhere, and a value that is another in every run."""
    step = project.step("double", **container)
    step["outputs"] = {} if reason else step["outputs"]
    told = [project.told(project.run(step)) for _ in range(2)]
    assert {each.verdict for each in told} == ({"not cached"} if reason else {"miss"})
    assert reason in told[0].reason


def test_an_import_that_only_a_run_knows_is_never_cached(project: Project) -> None:
    """The line is named."""
    project.write("steps/double.py", "import importlib, sys\nimportlib.import_module(sys.argv[9:] or 'shared.arithmetic')\n"
                  + (project.folder / "steps/double.py").read_text())  # fmt: skip
    assert "steps/double.py:2" in project.told(project.run(project.step("double"))).reason


def test_a_step_without_the_annotation_always_runs(project: Project) -> None:
    """Nothing is cached that does not say that it may be."""
    step = project.step("double")
    step["metadata"] = {}
    for _ in range(2):
        project.run(step)
    assert project.times() == 2


def test_a_damaged_row_and_a_damaged_file_are_misses(project: Project) -> None:
    """The run succeeds either way."""
    step = project.step("double")
    project.run(step)
    path = project.engine.state / "cache.db"
    with sqlite3.connect(path) as database:
        database.execute("UPDATE entries SET body = replace(body, '42', '41')")
    damaged = project.run(step)
    assert project.told(damaged).verdict == "miss"
    assert number(damaged) == "42"
    for each in path.parent.glob("cache.db*"):
        each.write_bytes(b"no database" * 1000)
    assert project.run(step).phase == "Succeeded"
    assert project.times() == 3


def test_a_run_that_is_resumed_finds_what_its_own_step_left(project: Project, tmp_path: Path) -> None:
    """The engine was killed between the entry and its journal: the step's result is used, and is the run's own."""
    first = project.run(project.step("double"))
    with sqlite3.connect(project.engine.state / "journal.db") as database:
        database.execute('UPDATE nodes SET body = replace(body, \'"phase": "Succeeded"\', \'"phase": "Running"\')')
        database.execute('UPDATE progress SET body = replace(body, \'"phase": "Succeeded"\', \'"phase": "Running"\')')
        database.execute("UPDATE runs SET phase = 'Running', finished = 0")
    again = project.engine.run(first.name, handle_signals=False)
    assert again.phase == "Succeeded"
    assert project.times() == 1
    assert number(again) == "42"
