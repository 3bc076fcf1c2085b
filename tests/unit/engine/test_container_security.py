"""What securityContext and limits become in the runtime's configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine.errors import StepError
from tiphys.engine.oci import security
from tiphys.engine.oci.config import quantity, runtime_config
from tiphys.engine.oci.security import User, capabilities, context_of, seccomp, user_of

pytestmark = pytest.mark.unit
PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}, "excludes": {}},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "includes": {}, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["s390"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}, "excludes": {}},
    ],
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image's files."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\nbroken\napp:x:1000:1001::/:/bin/sh\n")
    (tmp_path / "etc" / "group").write_text("root:x:0:\ncrew:x:77:app\n")
    return tmp_path


@pytest.mark.parametrize(
    ("declared", "pod", "container", "expected"),
    [
        ("", {}, {}, User(0, 0)),
        ("app", {}, {}, User(1000, 1001)),
        ("1000", {}, {}, User(1000, 1001)),
        ("65532:65532", {}, {}, User(65532, 65532)),
        ("app:crew", {}, {}, User(1000, 77)),
        ("app", {"runAsUser": 5}, {}, User(5, 0)),
        ("app", {"runAsUser": 5, "runAsGroup": 6}, {"runAsUser": 7}, User(7, 6)),
        ("app", {"fsGroup": 9, "supplementalGroups": [3, 9]}, {}, User(1000, 1001, (3, 9))),
    ],
)
def test_who_a_container_runs_as(declared: str, pod: Any, container: Any, expected: User, root: Path) -> None:
    """The container's context goes over the pod's, and both over the image's USER."""
    assert user_of(context_of(pod, container), pod, declared, str(root)) == expected


@pytest.mark.parametrize(
    ("declared", "message"), [("ghost", "unable to find user"), ("app:ghosts", "find group ghosts")]
)
def test_a_user_that_the_image_does_not_know_is_named(declared: str, message: str, root: Path) -> None:
    """No container runs as somebody else."""
    with pytest.raises(StepError, match=message):
        user_of({}, {}, declared, str(root))


def test_a_link_in_the_image_does_not_lead_to_the_machine_s_users(tmp_path: Path) -> None:
    """A name is looked up in the image's own files only."""
    (tmp_path / "etc").symlink_to("/etc")
    with pytest.raises(StepError, match="unable to find user daemon"):
        user_of({}, {}, "daemon", str(tmp_path))


def test_run_as_non_root_refuses_root(root: Path) -> None:
    """Whether root comes from the image or from the manifest."""
    for declared, context in (("", {}), ("app", {"runAsUser": 0})):
        with pytest.raises(StepError, match="container has runAsNonRoot and image will run as root"):
            user_of({"runAsNonRoot": True, **context}, {}, declared, str(root))


@pytest.mark.parametrize(
    ("context", "kept"),
    [
        ({"capabilities": {"drop": ["ALL"]}}, []),
        ({"capabilities": {"drop": ["all"], "add": ["net_bind_service"]}}, ["CAP_NET_BIND_SERVICE"]),
        ({"capabilities": {"drop": ["ALL"], "add": ["CAP_KILL"]}}, ["CAP_KILL"]),
    ],
)
def test_capabilities_are_what_was_not_dropped(context: Any, kept: list[str]) -> None:
    """Names in any case, with and without CAP_."""
    assert capabilities(context) == kept


def test_without_a_word_a_container_has_the_default_capabilities() -> None:
    """No more, and a privileged one has all."""
    assert "CAP_SYS_ADMIN" not in capabilities({})
    assert "CAP_CHOWN" in capabilities({})
    assert "CAP_CHOWN" not in capabilities({"capabilities": {"drop": ["CHOWN"]}})
    assert "CAP_SYS_ADMIN" in capabilities({"privileged": True})


def test_the_profile_is_that_of_the_capabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules for other architectures and for capabilities that the container lacks fall away."""
    (tmp_path / "seccomp.json").write_text(json.dumps(PROFILE))
    monkeypatch.setattr(security, "SECCOMP_FILES", (str(tmp_path / "seccomp.json"),))
    asked = {"seccompProfile": {"type": "RuntimeDefault"}}
    found = seccomp(asked, [])
    assert found is not None
    assert [(rule["names"], rule["action"]) for rule in found["syscalls"]] == [
        (["read"], "SCMP_ACT_ALLOW"),
        (["mount"], "SCMP_ACT_ERRNO"),
    ]
    assert found["defaultErrnoRet"] == 38
    trusted = seccomp(asked, ["CAP_SYS_ADMIN"])
    assert trusted is not None
    assert [rule["action"] for rule in trusted["syscalls"]] == ["SCMP_ACT_ALLOW", "SCMP_ACT_ALLOW"]
    assert seccomp({}, []) is None


def test_a_profile_that_is_asked_for_and_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container does not run with less than it asked for."""
    monkeypatch.setattr(security, "SECCOMP_FILES", (str(tmp_path / "none"),))
    with pytest.raises(StepError, match="no profile at"):
        seccomp({"seccompProfile": {"type": "RuntimeDefault"}}, [])


@pytest.mark.parametrize(
    ("text", "number"), [("512Mi", 512 << 20), ("2Gi", 2 << 30), ("250m", 0.25), ("1.5", 1.5), ("1e3", 1000), (2, 2)]
)
def test_a_quantity_is_a_number(text: object, number: float) -> None:
    """Binary and decimal units, milli, exponents."""
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "Mi", "1 Gi", "-1", "1Xi", "1.2.3Gi"])
def test_what_is_no_quantity_is_named(text: str) -> None:
    """It can't be half understood."""
    with pytest.raises(StepError, match="is no quantity"):
        quantity(text)


def test_limits_are_given_to_the_kernel() -> None:
    """Memory in bytes, processors as a quota, what was asked for as a share."""
    body = {"resources": {"limits": {"memory": "1Gi", "cpu": "1500m"}, "requests": {"cpu": "250m"}}}
    config = runtime_config(body, {}, User(1, 2), argv=["a"], env={"A": "b"}, cwd="/", volumes=[], cgroup="/x")
    found = config["linux"]["resources"]
    assert found["memory"] == {"limit": 1 << 30}
    assert found["cpu"] == {"period": 100_000, "quota": 150_000, "shares": 256}
    assert config["process"]["env"] == ["A=b"]
    assert config["root"] == {"path": "rootfs", "readonly": False}
