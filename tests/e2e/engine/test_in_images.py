"""Steps in their own images, with the real buildah and runc: what a kubelet would do, it does here."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiphys.engine import Engine, ManifestError, RunState, load_text
from tiphys.engine.control import resubmit
from tiphys.engine.launcher.contained import Termination
from tiphys.engine.oci.config import runtime_config
from tiphys.engine.oci.pod import cgroup_name
from tiphys.engine.oci.security import User
from tiphys.engine.oci.storage import OciImage, Storage

PROJECT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("container_tools")]
IMAGE = f"localhost/tiphys-test/shell:{os.getpid()}"
PROGRAMS = ("sh", "cat", "env", "id", "ln", "ls", "mkdir", "mkfifo", "sleep", "tail", "touch", "grep")
HEAD = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
"""
RESTRICTED = """
  securityContext:
    {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
"""
OWN = "{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}"


def buildah(*words: str) -> str:
    """What buildah says."""
    return subprocess.run(["buildah", *words], check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def libraries(program: Path) -> list[Path]:
    """The shared libraries that a program is linked with, and its loader."""
    told = subprocess.run(["ldd", program], check=True, capture_output=True, text=True, timeout=30).stdout
    return [Path(found) for found in re.findall(r"(/\S+)", told)]


@pytest.fixture(scope="session")
def shell(container_tools: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image from nothing: a shell and some programs of this machine, with their libraries."""
    del container_tools
    root = tmp_path_factory.mktemp("shell")
    for name in PROGRAMS:
        program = Path(shutil.which(name) or name).resolve()
        for each in (program, *libraries(program)):
            target = root / each.relative_to("/") if each != program else root / "bin" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(each, target)
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n")
    (root / "etc" / "mark").write_text("of the image\n")
    working = buildah("from", "scratch")
    buildah("copy", working, str(root), "/")
    settings = ("--env", "GREETING=ahoy", "--entrypoint", '["/bin/sh", "-c"]', "--cmd", "'echo by default'")
    buildah("config", *settings, "--workingdir", "/work", working)
    buildah("commit", "--quiet", "--rm", working, IMAGE)
    yield IMAGE
    subprocess.run(["buildah", "rmi", "--force", IMAGE], check=False, capture_output=True, timeout=120)


@pytest.fixture
def inside(state: Path, shell: str) -> Callable[..., RunState]:
    """Run one template, given as YAML, in the image; the run."""
    engine = Engine(state, containers=["localhost/tiphys-test/*"])

    def start(template: str, spec: str = "") -> RunState:
        text = f"{HEAD}{spec}\n  templates:\n  - name: main\n{template}".replace("IMAGE", shell)
        return engine.run(engine.submit(load_text(text)), handle_signals=False)

    return start


@pytest.fixture
def log(state: Path) -> Callable[[], str]:
    """What the steps of the run have said."""
    return lambda: "".join(path.read_text() for path in sorted((state / "runs" / "wf").glob("*.log")))


def parameters(run: RunState) -> dict[str, str]:
    """The output parameters of the only step."""
    node = next(iter(run.nodes.values()))
    return {entry["name"]: entry["value"] for entry in (node.outputs or {}).get("parameters") or []}


def own_words(log: str) -> list[str]:
    """What the steps have said, without what a shell says on stderr, sooner or later, of a child that SIGTERM has ended."""
    return [line for line in log.splitlines() if line != "Terminated"]


def test_a_step_sees_its_image_and_not_the_machine(inside: Callable[..., RunState], log: Callable[[], str]) -> None:
    """Files, environment and folder are those of the image."""
    run = inside("    container: {image: IMAGE, args: ['cat /etc/mark; echo $GREETING; pwd; ls /; cat /proc/1/comm']}")
    assert run.phase == "Succeeded", run.message
    assert log().splitlines()[:3] == ["of the image", "ahoy", "/work"]
    assert "root" not in log().splitlines()
    assert log().splitlines()[-1] == "sh"


def test_without_a_command_the_image_s_own_runs(inside: Callable[..., RunState], log: Callable[[], str]) -> None:
    """Entrypoint and CMD of the image, as Argo looks them up in a registry."""
    assert inside("    container: {image: IMAGE}").phase == "Succeeded"
    assert log() == "by default\n"


def test_inputs_come_and_outputs_go_through_a_volume_and_through_the_root(inside: Callable[..., RunState]) -> None:
    """A parameter from a volume, one from the image's own folder, and an artifact, byte for byte."""
    run = inside("""
    volumes: [{name: tmp, emptyDir: {}}]
    inputs: {artifacts: [{name: in, path: /tmp/t/in.json, raw: {data: '{"a": "h\u00e9 `x` $$(NO)"}'}}]}
    outputs:
      parameters: [{name: volume, valueFrom: {path: /tmp/t/out/p}}, {name: root, valueFrom: {path: /work/q}}]
      artifacts: [{name: kept, path: /tmp/t/kept}]
    container:
      image: IMAGE
      args: ["cat /tmp/t/in.json > /tmp/t/out/p; id -u > /work/q; mkdir /tmp/t/kept; echo x > /tmp/t/kept/x"]
      volumeMounts: [{name: tmp, mountPath: /tmp}]
""")
    assert run.phase == "Succeeded", run.message
    assert parameters(run) == {"volume": '{"a": "h\u00e9 `x` $(NO)"}', "root": "0"}


def test_what_pod_security_restricted_asks_for_holds(inside: Callable[..., RunState], log: Callable[[], str]) -> None:
    """Not root, no capability, no new privileges, filtered system calls, nothing to write but the volume."""
    run = inside(
        f"""
    volumes: [{{name: tmp, emptyDir: {{}}}}]
    outputs: {{parameters: [{{name: p, valueFrom: {{path: /tmp/p}}}}]}}
    container:
      image: IMAGE
      args: ["id; grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; touch /work/x; touch /tmp/p"]
      securityContext: {OWN}
      volumeMounts: [{{name: tmp, mountPath: /tmp}}]
""",
        RESTRICTED,
    )
    assert run.phase == "Succeeded", run.message
    said = log().split()
    assert "uid=65532" in said
    assert said[said.index("CapBnd:") + 1] == "0000000000000000"
    assert said[said.index("NoNewPrivs:") + 1] == "1"
    assert said[said.index("Seccomp:") + 1] == "2"
    assert "Read-only file system" in log()


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("{runAsNonRoot: true}", "CreateContainerConfigError: container has runAsNonRoot and image will run as root"),
        ("{seccompProfile: {type: Localhost, localhostProfile: x}}", "seccompProfile Localhost needs a profile on the node"),
    ],
)  # fmt: skip
def test_what_can_not_be_kept_is_an_error(inside: Callable[..., RunState], context: str, message: str) -> None:
    """A container is not started with less than its manifest asks for; the words are a kubelet's."""
    run = inside(f"    container: {{image: IMAGE, args: [id], securityContext: {context}}}")
    assert run.phase == "Error"
    assert run.message.startswith(message)


def test_a_container_over_its_memory_limit_is_killed(inside: Callable[..., RunState]) -> None:
    """The kernel ends it, and the message is Argo's."""
    run = inside("""
    container:
      image: IMAGE
      args: ["x=a; while true; do x=$x$x; done"]
      resources: {limits: {memory: 32Mi}}
""")
    assert (run.phase, run.message) == ("Failed", "main: OOMKilled (exit code 137)")


def test_an_exit_code_137_of_its_own_is_no_want_of_memory(inside: Callable[..., RunState]) -> None:
    """The code alone does not make an OOMKilled."""
    run = inside("    container: {image: IMAGE, args: ['exit 137']}")
    assert (run.phase, run.message) == ("Failed", "main: Error (exit code 137)")


def test_a_missing_program_is_told_as_argo_tells_it(inside: Callable[..., RunState]) -> None:
    """A program of the machine is none of the image."""
    run = inside("    container: {image: IMAGE, command: [/usr/bin/env]}")
    missing = 'failed to find name in PATH: exec: "/usr/bin/env": stat /usr/bin/env: no such file or directory'
    assert (run.phase, run.message) == ("Failed", f"main: Error (exit code 64): {missing}")


def test_an_image_that_is_not_there_is_refused_before_anything_runs(state: Path, shell: str) -> None:
    """The kubelet's words, and what to do."""
    engine = Engine(state, containers=["*"])
    text = f"{HEAD}  templates: [{{name: main, container: {{image: 'not/there:1', command: [id]}}}}]"
    with pytest.raises(
        ManifestError, match=r"ErrImageNeverPull: Container image 'not/there:1' is not present .*make images"
    ):
        engine.submit(load_text(text))
    assert engine.runs() == []


@pytest.mark.parametrize("name", ["oci:/etc:x", "docker-archive:/x", "--help", "../x", "a b"])
def test_what_is_no_name_of_an_image_never_reaches_buildah(state: Path, name: str) -> None:
    """A transport or an option in the name is refused."""
    engine = Engine(state, containers=["*"])
    text = f"{HEAD}  templates: [{{name: main, container: {{image: '{name}', command: [id]}}}}]"
    with pytest.raises(ManifestError, match="is no name of an image"):
        engine.submit(load_text(text))


def test_a_link_that_a_step_leaves_leads_nowhere_on_the_machine(
    inside: Callable[..., RunState], tmp_path: Path
) -> None:
    """An output that is a link to a secret of the machine is not there."""
    secret = tmp_path / "secret"
    secret.write_text("of the machine")
    run = inside(f"""
    outputs: {{parameters: [{{name: p, valueFrom: {{path: /work/out}}}}]}}
    container: {{image: IMAGE, args: ["ln -s {secret} /work/out"]}}
""")
    assert run.phase == "Error"
    assert "open /var/run/argo/outputs/parameters/work/out: no such file or directory" in run.message


def test_containers_of_a_pod_share_its_volumes(inside: Callable[..., RunState]) -> None:
    """An init container, a main and a sidecar, each in an image."""
    run = inside("""
    volumes: [{name: v, emptyDir: {}}]
    outputs: {parameters: [{name: p, valueFrom: {path: /v/f}}]}
    initContainers: [{name: before, image: IMAGE, args: ["echo first > /v/f"], mirrorVolumeMounts: true}]
    sidecars: [{name: beside, image: IMAGE, args: ["trap 'exit 0' TERM; while true; do sleep 0.1; done"]}]
    container: {image: IMAGE, args: ["echo then >> /v/f"], volumeMounts: [{name: v, mountPath: /v}]}
""")
    assert run.phase == "Succeeded", run.message
    assert parameters(run) == {"p": "first\nthen"}


def test_sidecars_that_are_told_to_end_while_they_start_fail_nothing(inside: Callable[..., RunState]) -> None:
    """A main that is quicker than the start of its sidecars; what the runtime makes of an early SIGTERM is nobody's failure."""
    one = "{name: beside%d, image: IMAGE, args: [\"trap 'exit 0' TERM; while true; do sleep 0.1; done\"]}"
    sidecars = ", ".join(one % number for number in range(6))
    run = inside(f"    sidecars: [{sidecars}]\n    container: {{image: IMAGE, args: ['true']}}")
    assert run.phase == "Succeeded", run.message


def test_sigterm_ends_a_program_that_does_not_care_for_it(inside: Callable[..., RunState]) -> None:
    """As in Argo, where it is not PID 1: its exit code is that of SIGTERM, and no SIGKILL was waited for."""
    run = inside("""
    containerSet:
      containers:
      - {name: careless, image: IMAGE, args: ["while true; do sleep 0.1; done"]}
      - {name: broken, image: IMAGE, args: ["sleep 3; exit 3"]}
""")
    messages = {node.name.rpartition(".")[2]: node.message for node in run.nodes.values() if node.type == "Container"}
    assert messages == {"careless": "careless: Error (exit code 143): ", "broken": "broken: Error (exit code 3): "}


def test_sigterm_reaches_the_children_of_a_program_that_does_not_care_for_it(
    inside: Callable[..., RunState], log: Callable[[], str]
) -> None:
    """One that saves is waited for, one that ignores it is not; the program itself does nothing after it, as if dead."""
    saves = "(trap 'sleep 0.5; echo saved; exit 0' TERM; touch /v/ready; while true; do sleep 0.1; done)"
    ignores = "(trap '' TERM; while true; do sleep 0.1; done) &"
    run = inside(f"""
    volumes: [{{name: v, emptyDir: {{}}}}]
    containerSet:
      volumeMounts: [{{name: v, mountPath: /v}}]
      containers:
      - {{name: parent, image: IMAGE, args: ["{ignores} {saves}; echo went on"]}}
      - {{name: broken, image: IMAGE, args: ["until test -e /v/ready; do sleep 0.1; done; exit 3"]}}
""")
    messages = {node.name.rpartition(".")[2]: node.message for node in run.nodes.values() if node.type == "Container"}
    assert messages == {"parent": "parent: Error (exit code 143): ", "broken": "broken: Error (exit code 3): "}
    assert own_words(log()) == ["saved"]


def test_a_container_of_a_set_is_started_again_in_its_image(
    inside: Callable[..., RunState], log: Callable[[], str]
) -> None:
    """As often as its retries say; the last attempt hears SIGTERM, too."""
    run = inside("""
    volumes: [{name: v, emptyDir: {}}]
    containerSet:
      volumeMounts: [{name: v, mountPath: /v}]
      retryStrategy: {retries: 3, duration: 10ms}
      containers:
      - {name: third, image: IMAGE, args: ["echo x >> /v/n; test $(grep -c x /v/n) = 3 || exit 1;
          trap 'echo told; exit 0' TERM; touch /v/ready; while true; do sleep 0.1; done"]}
      - {name: broken, image: IMAGE, args: ["until test -e /v/ready; do sleep 0.1; done; exit 3"]}
""")
    messages = {node.name.rpartition(".")[2]: node.message for node in run.nodes.values() if node.type == "Container"}
    assert messages == {"third": "", "broken": "broken: Error (exit code 3): "}
    assert own_words(log()) == ["told"]


def test_a_program_is_told_to_end_when_it_is_there(shell: str, tmp_path: Path) -> None:
    """While the runtime still makes the container ready, SIGTERM waits."""
    image = (storage := Storage(["*"])).find(shell)
    assert image is not None
    (tmp_path / "rootfs").symlink_to(storage.root(image))
    argv = ["/bin/sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"]
    name = f"told-{os.getpid()}"
    config = runtime_config({}, {}, User(0, 0, ()), argv=argv, env={}, cwd="/", volumes=[], cgroup=f"/tiphys/{name}")
    config["root"] = {"path": str((tmp_path / "rootfs").resolve()), "readonly": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    runc = ["runc", "--root", str(tmp_path / "state")]
    subprocess.run([*runc, "create", "--bundle", tmp_path, name], check=True, timeout=60, stdout=subprocess.DEVNULL)
    try:
        termination = Termination(str(tmp_path / "state" / name / "state.json"))
        for _ in range(2):
            termination.bring()
            assert termination.wanted
        subprocess.run([*runc, "start", name], check=True, timeout=60)
        until = time.monotonic() + 60
        while termination.wanted and time.monotonic() < until:
            termination.bring()
        assert not termination.wanted
    finally:
        subprocess.run([*runc, "delete", "--force", name], check=True, timeout=60)


def test_a_daemon_s_probe_is_asked_inside(inside: Callable[..., RunState]) -> None:
    """An exec probe finds the container's files."""
    run = inside("""
    steps:
    - - {name: d, template: d}
    - - {name: after, template: after}
  - name: d
    daemon: true
    container:
      image: IMAGE
      args: ["trap 'exit 0' TERM; sleep 0.5; touch /work/ready; while true; do sleep 0.1; done"]
      readinessProbe: {exec: {command: [/bin/sh, -c, "ls /work/ready"]}, periodSeconds: 1}
  - name: after
    container: {image: IMAGE, args: ["true"]}
""")
    assert run.phase == "Succeeded", run.message


@pytest.mark.parametrize("program", ["%s", "(%s); echo went on"])
def test_a_deadline_ends_the_container_and_leaves_no_group(
    inside: Callable[..., RunState], log: Callable[[], str], state: Path, program: str
) -> None:
    """SIGTERM reaches the program, or its child; its control groups are gone."""
    cares = "trap 'sleep 0.5; echo told; exit 3' TERM; while true; do sleep 0.1; done"
    run = inside(f"""
    activeDeadlineSeconds: 2
    container: {{image: IMAGE, args: ["{program % cares}"]}}
""")
    assert (run.phase, run.message) == ("Failed", "Pod was active on the node longer than the specified deadline")
    assert own_words(log()) == ["told"]
    attempt = state / "attempts" / f"{next(iter(run.nodes))}-1"
    assert not [*Path("/sys/fs/cgroup").glob(f"*/tiphys/{cgroup_name(attempt, 'main')}")]


def test_a_run_that_is_retried_stays_in_its_images(state: Path, shell: str) -> None:
    """Whoever retries or resubmits it need not say again where its steps run; to say it changes it."""
    text = f"""{HEAD}
  arguments: {{parameters: [{{name: code, value: "7"}}]}}
  templates: [{{name: main, container: {{image: '{shell}', args: ["cat /etc/mark; exit {{{{workflow.parameters.code}}}}"]}}}}]
"""
    first = Engine(state, containers=["localhost/tiphys-test/*"])
    assert first.run(first.submit(load_text(text)), handle_signals=False).phase == "Failed"
    engine = Engine(state)
    engine.retry("wf", {"code": "0"})
    run = engine.run("wf", handle_signals=False)
    assert run.phase == "Succeeded", run.message
    assert engine.run(resubmit(engine, "wf", as_name="copy"), handle_signals=False).phase == "Succeeded"
    with pytest.raises(ManifestError, match="has no stand-in on this machine"):
        resubmit(engine, "wf", as_name="processes", containers=[])
    assert {each.name for each in engine.runs()} == {"wf", "copy"}


def test_a_killed_engine_leaves_no_container(shell: str, tmp_path: Path) -> None:
    """After kill -9 of the engine the program in the container is gone, too; the run goes on in containers."""
    manifest = tmp_path / "manifest.yaml"
    words = ("sleep", f"4321.{os.getpid()}")
    manifest.write_text(
        f"{HEAD}\n  templates: [{{name: main, container: {{image: '{shell}', command: {list(words)}}}}}]"
    )
    command = [sys.executable, "-m", "tiphys", "run", str(manifest), "--containers", "localhost/tiphys-test/*"]
    environment = {**os.environ, "TIPHYS_HOME": str(tmp_path / "home")}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL) as process:
        wait_for(words, there=True)
        process.kill()
    wait_for(words, there=False)
    again = [sys.executable, "-m", "tiphys", "resume", "wf"]
    with subprocess.Popen(again, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL) as process:
        wait_for(words, there=True)
        process.kill()
    wait_for(words, there=False)


def wait_for(words: tuple[str, ...], *, there: bool) -> None:
    """Wait until a program with these words runs, or none does."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (words in set(command_lines())) == there:
            return
        time.sleep(0.05)
    pytest.fail(f"{words} is {'not' if there else 'still'} there")


def command_lines() -> Iterator[tuple[str, ...]]:
    """The words of every process of this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield tuple(path.read_text(errors="replace").split("\0")[:-1])


def test_an_image_s_files_stay_mounted_until_it_is_built_anew(shell: str) -> None:
    """Another image's mount takes nobody's away; one whose image has lost its name goes."""

    def commit(mark: str, name: str) -> OciImage:
        working = buildah("from", "--pull-never", shell)
        buildah("config", "--label", f"mark={mark}", working)
        buildah("commit", "--quiet", "--rm", working, name)
        found = Storage(["*"]).find(name)
        assert found is not None
        return found

    def mounts() -> set[str]:
        return set(buildah("containers", "--format", "{{.ContainerName}}").split())

    one, other = "localhost/tiphys-test/one:1", "localhost/tiphys-test/other:1"
    first, second = commit("1", one), commit("2", other)
    try:
        for image in (first, second):
            Storage(["*"]).root(image)
        assert {f"tiphys-{each.identity[:16]}" for each in (first, second)} <= mounts()
        anew = commit("3", one)
        Storage(["*"]).root(anew)
        assert f"tiphys-{first.identity[:16]}" not in mounts()
        assert {f"tiphys-{each.identity[:16]}" for each in (second, anew)} <= mounts()
    finally:
        for name in (one, other):
            subprocess.run(["buildah", "rmi", "--force", name], check=False, capture_output=True, timeout=120)
