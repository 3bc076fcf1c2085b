"""The command line as a person and a program use it: processes, files, signals, exit codes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
PROJECT = Path(__file__).resolve().parents[3]
Start = Callable[..., subprocess.Popen[str]]
HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n"
HELLO = (
    HEAD
    + """metadata: {generateName: hello-}
spec:
  entrypoint: main
  arguments: {parameters: [{name: message, value: hello}]}
  templates:
  - name: main
    container: {image: "debian:12", command: [sh, -c], args: ["echo {{workflow.parameters.message}} | tee /tmp/o"]}
    outputs: {parameters: [{name: said, valueFrom: {path: /tmp/o}}]}
  - name: other
    container: {image: "debian:12", command: [echo, other]}
"""
)
ASKS = (
    HEAD
    + """metadata: {name: asks}
spec:
  entrypoint: main
  onExit: bye
  templates:
  - name: main
    dag:
      tasks:
      - {name: first, template: say, arguments: {parameters: [{name: v, value: before}]}}
      - {name: ask, depends: first, template: ask}
      - {name: tell, depends: ask, template: say, arguments: {parameters: [{name: v, value: "{{tasks.ask.outputs.parameters.verdict}}"}]}}
  - name: ask
    suspend: {}
    outputs: {parameters: [{name: verdict, valueFrom: {supplied: {}}}]}
  - name: say
    inputs: {parameters: [{name: v}]}
    container: {image: "debian:12", command: [echo, "said {{inputs.parameters.v}}"]}
  - name: bye
    container: {image: "debian:12", command: [echo, "bye {{workflow.status}}"]}
"""
)


class Cli:
    """`tiphys` on a state folder of the test's own."""

    def __init__(self, home: Path) -> None:
        """`home` holds the state."""
        self.home = home
        self._started: list[subprocess.Popen[str]] = []

    def _arguments(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tiphys", *words]

    def environment(self) -> dict[str, str]:
        """Ours, with the state folder."""
        return {**os.environ, "TIPHYS_HOME": str(self.home), "PYTHONPATH": str(PROJECT)}

    def __call__(self, *words: str, code: int = 0, given: str = "") -> tuple[str, str]:
        """Run to the end; stdout and stderr."""
        done = subprocess.run(
            self._arguments(*words),
            input=given,
            capture_output=True,
            text=True,
            env=self.environment(),
            check=False,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout, done.stderr

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start and return at once; stderr goes where stdout goes."""
        process = subprocess.Popen(
            self._arguments(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment()
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Leave nothing behind."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """A command line of the test's own."""
    made = Cli(tmp_path / "home")
    yield made
    made.end()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    """Write a file; its path."""

    def make(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return make


Write = Callable[[str, str], str]
ReadUntil = Callable[[subprocess.Popen[str], str], str]


def test_run_o_json_prints_the_workflow_and_nothing_else(cli: Cli, write: Write) -> None:
    """In Argo's shape; `get -o json` and `-o yaml` print the same."""
    stdout, _ = cli("run", write("hello.yaml", HELLO), "-o", "json", "-p", "message=ahoy", "-l", "team=blue")
    workflow = json.loads(stdout)
    (node,) = workflow["status"]["nodes"].values()
    assert workflow["status"]["phase"] == node["phase"] == "Succeeded"
    assert node["outputs"]["parameters"][0]["value"] == "ahoy"
    assert workflow["metadata"]["labels"]["team"] == "blue"
    assert json.loads(cli("get", "@latest", "-o", "json")[0]) == workflow
    assert "phase: Succeeded" in cli("get", workflow["metadata"]["name"], "-o", "yaml")[0]


def test_documents_beside_the_workflow_are_installed_first(cli: Cli, write: Write) -> None:
    """From several files and standard input; afterwards the template is run by its name."""
    template = HELLO.replace("kind: Workflow", "kind: WorkflowTemplate").replace("generateName: hello-", "name: greets")
    labels = "{workflows.argoproj.io/configmap-type: Parameter}"
    config = f"kind: ConfigMap\nmetadata: {{name: c, labels: {labels}}}\ndata: {{m: from-config}}\n"
    workflow = (
        HEAD
        + """metadata: {generateName: uses-}
spec:
  workflowTemplateRef: {name: greets}
  arguments: {parameters: [{name: message, valueFrom: {configMapKeyRef: {name: c, key: m}}}]}
"""
    )
    cli("run", write("t.yaml", template + "---\n" + config), "-", given=workflow)
    assert "from-config" in cli("logs", "@latest")[0]
    cli("run", "greets", "--entrypoint", "other", "--name", "by-name")
    assert cli("logs", "by-name")[0] == "by-name: other\n"


def test_what_is_refused_runs_nothing_and_says_what_to_do(cli: Cli, write: Write) -> None:
    """A schedule, a manifest that is wrong, a check only, a name that is taken."""
    _, said = cli("run", write("cron.yaml", "kind: CronWorkflow\nmetadata: {name: nightly}\n"), code=2)
    assert "nightly" in said
    hello = write("hello.yaml", HELLO)
    assert "undefined" in cli("run", hello, "--entrypoint", "nobody", code=2)[1]
    assert "hello- would run" in cli("run", hello, "--dry-run")[1]
    assert cli("list", "-o", "name")[0] == ""
    cli("run", hello, "--name", "mine")
    assert "mine" in cli("run", hello, "--name", "mine", "-p", "message=x", code=2)[1]
    assert "did you mean 'mine'" in cli("get", "mien", code=2)[1]


def test_lint_prints_every_problem_by_file(cli: Cli, write: Write, tmp_path: Path) -> None:
    """With its line and rule, and ends with 1; a folder is searched; warnings count only where that is wanted."""
    folder = tmp_path / "all"
    folder.mkdir()
    good = HELLO.replace("[sh, -c]", "[cp, /etc/hostname, /tmp/o]").replace(
        ', args: ["echo {{workflow.parameters.message}} | tee /tmp/o"]', ""
    )
    good = good[: good.index("  - name: other")]
    (folder / "good.yaml").write_text(good)
    assert cli("lint", str(folder))[0] == "1 file is well\n"
    (folder / "good.yaml").write_text(good.replace("debian:12", "debian"))
    assert "line 9: " in cli("lint", str(folder))[0]
    assert "0 error" not in cli("lint", "--strict", str(folder), code=1)[0]
    (folder / "good.yaml").write_text(good)
    (folder / "bad.yaml").write_text(good.replace("entrypoint: main", "entrypoint: nobody"))
    (folder / "worse.yaml").write_text("a: [")
    stdout, _ = cli("lint", str(folder), code=1)
    assert "good.yaml" not in stdout
    assert "bad.yaml:\n  ✖ line 5: Workflow hello-: spec.entrypoint template name 'nobody' undefined" in stdout
    assert "[unknown-template]" in stdout
    assert "worse.yaml is not YAML" in stdout
    (only,) = json.loads(cli("lint", str(folder), "-o", "json", code=1)[0])[str(folder / "worse.yaml")]
    assert (only["rule"], only["line"], only["severity"]) == ("not-yaml", 2, "error")
    assert "open-secret" in cli("lint", "--rules")[0]
    assert "no such rule" in cli("lint", "--ignore", "nothing", str(folder), code=2)[1]


def test_lint_ends_with_2_for_a_file_that_it_can_not_read(cli: Cli, write: Write, tmp_path: Path) -> None:
    """What it can read is told all the same, and the file that it can't is none that is well."""
    missing, bad = (
        str(tmp_path / "nowhere.yaml"),
        write("bad.yaml", HELLO.replace("entrypoint: main", "entrypoint: nobody")),
    )
    assert "nowhere.yaml can't be read: No such file" in cli("lint", missing, code=2)[0]
    stdout, _ = cli("lint", bad, missing, code=2)
    assert "template name 'nobody' undefined" in stdout
    assert "nowhere.yaml can't be read" in stdout
    (tmp_path / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    assert "is not UTF-8" in cli("lint", str(tmp_path / "latin.yaml"), code=2)[0]
    (only,) = json.loads(cli("lint", missing, "-o", "json", code=2)[0])[missing]
    assert only["rule"] == "unreadable"
    assert "can't be read" in cli("lint", missing, "--ignore", "unreadable", code=2)[0]


def test_lint_finds_what_is_pasted_into_a_program(cli: Cli, write: Write) -> None:
    """And is told where that does not count."""
    file = write("hello.yaml", HELLO)
    assert "{{workflow.parameters.message}} becomes a part of the program" in cli("lint", file, code=1)[0]
    assert "unused-template" in cli("lint", "--ignore", "parameter-in-code", file)[0]


def test_parity_lists_the_fields_of_a_manifest_and_compares_two_runs(cli: Cli, write: Write) -> None:
    """A refused field ends with 1; so do two runs that differ, in the words of both."""
    file = write("hello.yaml", HELLO)
    assert "honoured  spec.templates[].container.image" in cli("parity", file)[0]
    wrong = HELLO.replace(
        "- name: other", "- name: other\n    volumes: [{name: v, hostPath: {path: /}}]\n    nodeSelector: {a: b}"
    )
    stdout, _ = cli("parity", write("wrong.yaml", wrong), code=1)
    assert "refused   spec.templates[].volumes[].hostPath" in stdout
    assert "advisory  spec.templates[].nodeSelector" in stdout
    (told,) = json.loads(cli("parity", write("wrong.yaml", wrong), "-o", "json", code=1)[0])
    assert {"path", "verdict", "reason", "line"} == told["fields"][0].keys()
    cli("run", file, "--name", "one")
    cli("run", file, "--name", "two")
    cli("run", file, "--name", "three", "-p", "message=bye")
    assert "the same: 1 nodes" in cli("parity", "diff", "one", "two")[0]
    exported = write("three.json", cli("get", "three", "-o", "json")[0])
    stdout, _ = cli("parity", "diff", "one", exported, code=1)
    assert 'node WF, outputs: one {"exitCode": "0", "parameters": {"said": "hello"}}, three.json' in stdout
    assert "diff A B" in cli("parity", "one", "two", code=2)[1]
    assert "no Workflow that has run" in cli("parity", "diff", "one", file, code=2)[1]


def test_a_running_run_is_asked_through_the_journal(cli: Cli, write: Write, read_until: ReadUntil) -> None:
    """Followed, suspended, resumed with a value, each from another process; twice does no harm."""
    run = cli.start("run", write("asks.yaml", ASKS))
    read_until(run, "● ask Running")
    follower = cli.start("logs", "-f", "asks", "--no-color")
    read_until(follower, "first: said before")
    assert "Running (Suspended)" in cli("get", "@latest")[0]
    assert cli("list", "--running", "-o", "name")[0] == "asks\n"
    assert "verdict=VALUE" in cli("resume", "asks", code=2)[1]
    assert "not expecting output parameter 'x'" in cli("resume", "asks", "-p", "x=1", code=2)[1]
    assert "these wait: ask" in cli("resume", "asks", "--node", "tell", code=2)[1]
    assert "first" in cli("delete", "asks", code=2)[1]
    selector = ("--node-field-selector", "displayName=ask")
    assert "asked asks to go on: ask" in cli("resume", "asks", *selector, "--set", "verdict=yes")[1]
    assert "✔ asks Succeeded" in read_until(run, "Succeeded after")
    followed, _ = follower.communicate(timeout=60)
    assert followed == "tell: said yes\nasks.onExit: bye Succeeded\n"
    assert follower.returncode == 0
    assert "has ended" in cli("resume", "asks", *selector)[1]
    assert "has ended" in cli("stop", "asks")[1]


@pytest.mark.parametrize(("command", "bye"), [("stop", True), ("terminate", False)])
def test_a_run_is_ended_from_another_process(
    cli: Cli, write: Write, read_until: ReadUntil, command: str, *, bye: bool
) -> None:
    """`stop` lets the exit handler run, `terminate` does not."""
    run = cli.start("run", write("asks.yaml", ASKS))
    read_until(run, "● ask Running")
    assert f"asked asks to {command}" in cli(command, "@latest")[1]
    run.communicate(timeout=60)
    assert run.returncode == 1
    logs = cli("logs", "asks")[0]
    assert ("asks.onExit: bye Failed" in logs) is bye


def test_what_nobody_drives_is_changed_where_it_lies(cli: Cli, write: Write, read_until: ReadUntil) -> None:
    """After a kill: following says so, suspending twice is harmless, stopping runs the exit handler here."""
    run = cli.start("run", write("asks.yaml", ASKS))
    read_until(run, "● ask Running")
    follower = cli.start("logs", "-f", "asks")
    read_until(follower, "said before")
    run.send_signal(signal.SIGKILL)
    assert "no engine drives asks any more" in follower.communicate(timeout=60)[0]
    assert "Interrupted" in cli("list")[0]
    assert "asks is suspended\n" in cli("suspend", "asks")[1]
    assert "already" in cli("suspend", "asks")[1]
    cli("stop", "asks")
    assert cli("logs", "asks", "asks.onExit")[0] == "bye Failed\n"
    assert "Failed" in cli("list", "--status", "Failed")[0]


def test_a_suspended_step_can_be_made_to_fail(cli: Cli, write: Write, read_until: ReadUntil) -> None:
    """With a message, as `argo stop --node-field-selector` does; then the retry asks again."""
    run = cli.start("run", write("asks.yaml", ASKS))
    read_until(run, "● ask Running")
    cli("stop", "asks", "--node-field-selector", "displayName=ask", "--message", "not today")
    run.communicate(timeout=60)
    assert "not today" in cli("get", "asks")[0]
    again = cli.start("retry", "asks")
    assert "first Succeeded" not in read_until(again, "● ask Running")
    cli("resume", "asks", "-p", "verdict=yes")
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert cli("logs", "asks", "first")[0] == "said before\n"


def test_resubmit_makes_a_new_run_and_memoized_keeps_what_succeeded(cli: Cli, write: Write, tmp_path: Path) -> None:
    """The label names the run before."""
    flag = f"/var/tmp/{tmp_path.name}-{os.getpid()}"
    text = (
        HEAD
        + f"""metadata: {{name: two}}
spec:
  entrypoint: main
  templates:
  - name: main
    steps:
    - [{{name: one, template: one}}]
    - [{{name: use, template: use, arguments: {{parameters: [{{name: v, value: "{{{{steps.one.outputs.result}}}}"}}]}}}}]
  - name: one
    container: {{image: "debian:12", command: [sh, -c], args: ["echo once"]}}
  - name: use
    inputs: {{parameters: [{{name: v}}]}}
    container: {{image: "debian:12", command: [sh, -c], args: ["test -e {flag} && echo got {{{{inputs.parameters.v}}}}"]}}
"""
    )
    cli("run", write("two.yaml", text), code=1)
    cli("resubmit", "two", "--name", "plain", code=1)
    Path(flag).touch()
    try:
        cli("resubmit", "two", "--memoized", "--name", "kept")
    finally:
        Path(flag).unlink()
    assert cli("logs", "kept")[0] == "use: got once\n"
    kept = json.loads(cli("get", "kept", "-o", "json")[0])
    one = next(node for node in kept["status"]["nodes"].values() if node["displayName"] == "one")
    assert one["message"].startswith("original pod: two-")
    assert kept["metadata"]["labels"]["workflows.argoproj.io/resubmitted-from-workflow"] == "two"
    assert "Failed or Error" in cli("resubmit", "kept", "--memoized", code=2)[1]


def test_runs_are_deleted_by_name_or_by_filter(cli: Cli, write: Write) -> None:
    """Their logs go; what is not deleted stays."""
    hello = write("hello.yaml", HELLO)
    for name in ("one", "two", "three"):
        cli("run", hello, "--name", name, "--fresh")
    assert cli("delete", "one")[0] == "one deleted\n"
    assert not (cli.home / "engine" / "runs" / "one").exists()
    assert cli("delete", "--prefix", "tw", "--dry-run")[0] == "two would be deleted\n"
    assert cli("list", "-o", "name")[0] == "three\ntwo\n"
    cli("delete", "--all")
    assert "no runs yet" in cli("list")[0]
    assert "--completed" in cli("delete", code=2)[1]


def test_a_closed_pipe_and_ctrl_c_end_quietly(cli: Cli, write: Write, read_until: ReadUntil) -> None:
    """`tiphys logs | head -1` and Ctrl-C while following leave no traceback."""
    lots = HELLO.replace("echo {{workflow.parameters.message}} | tee /tmp/o", "seq 100000; echo > /tmp/o")
    cli("run", write("lots.yaml", lots), "--name", "lots")
    command = f"{sys.executable} -m tiphys logs lots | head -1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=cli.environment(), check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("lots: 1\n", "")
    run = cli.start("run", write("asks.yaml", ASKS))
    read_until(run, "● ask Running")
    follower = cli.start("logs", "-f", "asks")
    read_until(follower, "said before")
    follower.send_signal(signal.SIGINT)
    assert (follower.communicate(timeout=60)[0], follower.returncode) == ("", 130)


@pytest.mark.parametrize(
    ("words", "no_color", "painted"), [((), "", True), (("--no-color",), "", False), ((), "1", False)]
)
def test_colours_only_on_a_terminal_and_only_if_wanted(
    cli: Cli, write: Write, words: tuple[str, ...], no_color: str, *, painted: bool
) -> None:
    """NO_COLOR and --no-color are heard."""
    cli("run", write("hello.yaml", HELLO), "--name", "hello")
    assert "\x1b" not in cli("get", "hello")[0]
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "tiphys", "get", "hello", *words]
    subprocess.run(command, stdout=slave, env={**cli.environment(), "NO_COLOR": no_color}, check=True, timeout=60)
    os.close(slave)
    assert (b"\x1b[32m" in os.read(master, 65536)) is painted
    os.close(master)


def test_parity_prints_a_table_and_fails_only_for_what_differs(cli: Cli, tmp_path: Path) -> None:
    """As Argo, different with the first difference, refused, out of time, and what has no record."""
    folder = tmp_path / "cases"
    folder.mkdir()
    (folder / "hello.yaml").write_text(HELLO)
    (folder / "bad.yaml").write_text(HELLO.replace("entrypoint: main", "entrypoint: nobody"))
    stdout, _ = cli("parity", str(folder))
    assert [line.split()[:3] for line in stdout.splitlines()[1:3]] == [
        ["bad", "refused", "refused"],
        ["hello", "ran", "Succeeded"],
    ]
    workflow = cli("run", str(folder / "hello.yaml"), "-o", "json")[0]
    (folder / "hello.json").write_text(workflow)
    (folder / "bad.json").write_text('{"rejected": "entrypoint"}')
    assert "2 as Argo" in cli("parity", str(folder))[0]
    (folder / "hello.json").write_text(workflow.replace('"hello"', '"olleh"'))
    found = json.loads(cli("parity", str(folder), "--only", "hel*", "-o", "json", code=1)[0])
    assert [each["verdict"] for each in found] == ["different"]
    assert "olleh" in found[0]["detail"]
    (folder / "asks.yaml").write_text(ASKS)
    stdout, _ = cli("parity", str(folder), "--only", "asks", "--seconds", "1", code=1)
    assert "asks      out of time" in stdout.replace("asks  ", "asks      ", 1)


def test_logs_show_every_container_and_the_end_of_a_long_log_is_told(cli: Cli, write: Write) -> None:
    """A sidecar's lines bear its name; of many lines a failed run tells the last lines only."""
    manifest = (
        HEAD
        + """metadata: {name: loud}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: "debian:12", command: [sh, -c], args: ["seq 400000; echo last words; exit 1"]}
    sidecars: [{name: helper, image: "debian:12", command: [sh, -c, "echo at hand; sleep 100"]}]
"""
    )
    told, _ = cli("run", write("loud.yaml", manifest), code=1)
    assert "    last words\n" in told
    assert told.count("\n") < 40
    logs, _ = cli("logs", "loud")
    assert logs.endswith("loud: last words\nloud helper: at hand\n")
    assert logs.count("\n") == 400_002


def test_templates_alone_are_installed_and_can_be_run_by_name(cli: Cli, write: Write) -> None:
    """Several, or one that has no entrypoint, as a library of templates has."""
    library = "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\n" + HELLO.removeprefix(HEAD)
    first = library.replace("{generateName: hello-}", "{name: first}").replace("  entrypoint: main\n", "")
    second = library.replace("{generateName: hello-}", "{name: second}")
    told, _ = cli("run", write("both.yaml", f"{first}\n---\n{second}"))
    assert told == "WorkflowTemplate first installed\nWorkflowTemplate second installed\n"
    assert cli("run", write("first.yaml", first))[0] == "WorkflowTemplate first installed\n"
    assert "Succeeded" in cli("run", "second")[0]


def test_slips_of_the_hand_are_told_before_anything_runs(cli: Cli, write: Write, tmp_path: Path) -> None:
    """A parameter that nobody declares, a summary into nowhere, a folder without manifests, a file for a folder."""
    file = write("hello.yaml", HELLO)
    assert "note: parameter 'mesage' is not among" in cli("run", file, "-p", "mesage=x")[0]
    assert "make it first" in cli("run", file, "--summary", str(tmp_path / "nowhere" / "x.json"), code=2)[1]
    (tmp_path / "empty").mkdir()
    assert "holds no manifest" in cli("lint", str(tmp_path / "empty"), code=2)[1]


def test_a_command_for_this_machine_loads_no_client_of_clusters() -> None:
    """Hera takes a second to load; every command imports what may go wrong on a cluster."""
    code = "import sys, tiphys.cluster.errors; sys.exit('hera' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=PROJECT).returncode == 0
