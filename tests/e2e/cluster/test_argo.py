"""The command line against a real Argo: install, submit, look, act, and what goes wrong."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tiphys.cluster import Access, connect
from tiphys.settings import PROJECT

Interrupted = Callable[[list[str], str], tuple[int, str]]
pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.xdist_group("argo")]
WAITS = "import time; print('waiting'); time.sleep(300)"


@pytest.fixture
def template(cluster: Any) -> Iterator[dict[str, Any]]:
    """A WorkflowTemplate of the test's own."""
    name = f"tiphys-test-{uuid.uuid4().hex[:8]}"
    step = {"name": "main", "container": {"image": "tiphys/summary:0.1.0", "command": ["python"], "args": ["-V"]}}
    parameters = [{"name": "colour", "enum": ["red", "blue"]}]
    spec = {"entrypoint": "main", "arguments": {"parameters": parameters}, "templates": [step]}
    metadata = {"name": name, "labels": {"team": "a"}}
    yield {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": metadata, "spec": spec}
    given = cluster.settings
    ca = Path(given.ca_file) if given.ca_file else None
    server, _ = connect(Access(given.server, given.namespace, Path(given.token_file) if given.token_file else None, ca))
    server._service.delete_workflow_template(name)


def test_a_template_is_created_then_unchanged_then_updated(cluster: Any, template: dict[str, Any]) -> None:
    """Installing says what it did; a dry run shows the difference and changes nothing."""
    name, file = template["metadata"]["name"], cluster.write(template)
    assert f"WorkflowTemplate {name} would be created" in cluster("install", file, "--dry-run")
    assert f"WorkflowTemplate {name} created" in cluster("install", file)
    assert f"WorkflowTemplate {name} unchanged" in cluster("install", file)
    template["metadata"]["labels"]["team"] = "b"
    file = cluster.write(template)
    shown = cluster("install", file, "--dry-run", "--tag", "9.9.9")
    assert "-  team: a\n+  team: b\n" in shown
    assert "image: tiphys/summary:9.9.9\n" in shown
    assert f"WorkflowTemplate {name} updated" in cluster("install", file)
    assert f"WorkflowTemplate {name} unchanged" in cluster("install", file)


def test_nothing_is_installed_if_one_of_all_is_refused(cluster: Any, template: dict[str, Any]) -> None:
    """A manifest that Argo refuses keeps the good one beside it from being installed."""
    bad = {**template, "metadata": {"name": f"{template['metadata']['name']}-bad"}, "spec": {"entrypoint": "nix"}}
    said = cluster("install", cluster.write(template), cluster.write(bad), code=2)
    assert bad["metadata"]["name"] in said
    assert f"{template['metadata']['name']} created" not in said
    assert "would be created" in cluster("install", cluster.write(template), "--dry-run")
    cluster("install", cluster.write(template))


def test_a_parameter_that_the_template_does_not_take_is_refused_or_noted(
    cluster: Any, template: dict[str, Any]
) -> None:
    """A value outside of the list is refused before anything runs; an unknown name is noted; a missing one is Argo's."""
    cluster("install", cluster.write(template))
    name = template["metadata"]["name"]
    assert "red" in cluster("submit", name, "-p", "colour=green", "--dry-run", code=2)
    assert "'shape'" in cluster("submit", name, "-p", "colour=red", "-p", "shape=x", "--dry-run")
    assert "spec.arguments.colour.value" in cluster("submit", name, "--dry-run", code=2)


def test_a_run_is_watched_to_its_end_and_looks_as_on_this_machine(cluster: Any) -> None:
    """Submitted, waited for, drawn, its lines printed, listed, deleted."""
    said = cluster("submit", cluster.manifest("print('ahoy')", "print('land')"), "--wait")
    name = next(word for word in said.split() if word.startswith("tiphys-test-"))
    cluster.runs.append(name)
    assert f"✔ {name} Succeeded" in said
    tree = cluster("get", name)
    assert "✔ step-0" in tree
    assert "Progress:            2/2" in tree
    assert cluster("logs", name, "step-0") == "ahoy\n"
    assert sorted(cluster("logs", name).splitlines()) == ["step-0: ahoy", "step-1: land"]
    assert cluster.workflow(name)["status"]["phase"] == "Succeeded"
    assert name in cluster("list", "--status", "Succeeded", "-o", "name")
    cluster("delete", name)
    assert "is not known" in cluster("get", name, code=2)


def test_a_failed_run_shows_the_last_words_of_the_step_to_blame_and_is_retried(cluster: Any) -> None:
    """Exit code 1, the step and the end of its log; a retry with another parameter keeps what succeeded."""
    script = "import sys; print('last words'); sys.exit(int('{{workflow.parameters.code}}'))"
    manifest = cluster.manifest("print('once')", script, arguments={"parameters": [{"name": "code", "value": "3"}]})
    name = cluster.submit(manifest)
    said = cluster("watch", name, code=1)
    assert f"✖ {name} Failed" in said
    again = cluster("retry", name, "-p", "code=0", "--wait")
    assert f"running again in {name}: step-1" in again
    assert f"✔ {name} Succeeded" in again
    failed = cluster("submit", manifest, "--wait", code=1)
    assert "failed: step-1 (main: Error (exit code 3))" in failed
    assert "    last words" in failed
    cluster.runs.append(next(word for word in failed.split() if word.startswith("tiphys-test-")))


def test_ctrl_c_leaves_the_run_running_and_says_how_to_look_at_it(cluster: Any, interrupted: Interrupted) -> None:
    """Whoever stops watching does not stop the run; `stop` does."""
    command = cluster.command("submit", cluster.manifest(WAITS), "--wait")
    code, said = interrupted(command, "step-0 Running")
    name = next(word for word in said.split() if word.startswith("tiphys-test-"))
    cluster.runs.append(name)
    assert code == 130
    assert f"tiphys watch {name}" in said
    assert cluster.workflow(name)["status"]["phase"] == "Running"
    assert f"asked {name} to stop" in cluster("stop", name)
    cluster("watch", name, code=1)
    assert f"run {name} has ended already" in cluster("stop", name)


def test_lines_are_followed_until_the_run_has_ended(cluster: Any) -> None:
    """`logs -f` prints each line once, also of a step that begins later, and ends with the run."""
    script = "import time\nfor each in range(4): print(each); time.sleep(1)"
    name = cluster.submit(cluster.manifest(script, script))
    lines = cluster("logs", name, "-f").splitlines()
    assert lines == [f"step-{step}: {line}" for step in range(2) for line in range(4)]
    assert cluster.workflow(name)["status"]["phase"] == "Succeeded"


def test_an_image_that_cannot_be_pulled_is_told_while_waiting(cluster: Any, interrupted: Interrupted) -> None:
    """Argo waits for ever; whoever waits reads why, and so does `get`."""
    manifest = cluster.manifest("print()")
    file = Path(manifest)
    file.write_text(file.read_text().replace("tiphys/summary:", "127.0.0.1:1/tiphys/nix:"))
    code, said = interrupted(cluster.command("submit", manifest, "--wait"), "step-0 waits: ")
    name = next(word for word in said.split() if word.startswith("tiphys-test-"))
    cluster.runs.append(name)
    assert code == 130
    assert "ImagePull" in said
    assert "127.0.0.1:1/tiphys/nix" in cluster("get", name)
    cluster("terminate", name)


def test_a_suspended_step_goes_on_with_its_value(cluster: Any) -> None:
    """`resume -p` gives a suspended step what it waits for."""
    name = cluster.submit(cluster.write(_approval()))
    _until(
        lambda: any(node["type"] == "Suspend" for node in cluster.workflow(name)["status"].get("nodes", {}).values())
    )
    assert "waits for" in cluster("resume", name, "-p", "nix=1", code=2)
    assert f"asked {name} to go on: approve" in cluster("resume", name, "-p", "verdict=yes")
    cluster("watch", name)
    outputs = [node.get("outputs") for node in cluster.workflow(name)["status"]["nodes"].values()]
    assert any((each or {}).get("parameters", [{}])[0].get("value") == "yes" for each in outputs)


def test_a_name_that_is_not_known_is_answered_with_the_nearest(cluster: Any) -> None:
    """A slip in a name is named."""
    name = cluster.submit(cluster.manifest("print()"))
    assert f"did you mean {name!r}" in cluster("get", f"{name}x", code=2)


def test_the_linter_of_argo_itself_finds_nothing(request: pytest.FixtureRequest) -> None:
    """Every rendered file is clean for the real `argo lint`."""
    argo = request.config.getoption("--argo-cli")
    if not argo:
        pytest.skip("--argo-cli names no `argo`")
    files = sorted(map(str, (PROJECT / "workflows" / "rendered").glob("*.yaml")))
    answer = subprocess.run([argo, "lint", "--offline", *files], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def _approval() -> dict[str, Any]:
    parameter = {"name": "verdict", "enum": ["yes", "no"], "valueFrom": {"supplied": {}}}
    tasks = [{"name": "approve", "template": "approve"}]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "tiphys-test-"},
        "spec": {
            "entrypoint": "main",
            "serviceAccountName": "tiphys-executor",
            "templates": [
                {"name": "main", "dag": {"tasks": tasks}},
                {"name": "approve", "suspend": {}, "outputs": {"parameters": [parameter]}},
            ],
        },
    }


def _until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end
