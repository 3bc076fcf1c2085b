"""Who a container runs as and what it may do: securityContext as a kubelet and containerd read it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiphys.engine.errors import StepError

Json = dict[str, Any]
SECCOMP_FILES = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# What containerd gives a container that asks for nothing.
_DEFAULT_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip


@dataclass(frozen=True)
class User:
    """The user and groups of a container's process."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def context_of(pod: Json, container: Json) -> Json:
    """The container's securityContext over what it takes from that of the pod."""
    shared = ("runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile")
    return {**{key: pod[key] for key in shared if pod.get(key) is not None}, **container}


def user_of(context: Json, pod: Json, declared: str, root: str) -> User:
    """Who the container runs as; `declared` is the image's USER, looked up in the image's files below `root`.

    Raises StepError, in a kubelet's words, where runAsNonRoot forbids it, or for a user that the image does not know.
    """
    name, _, group = declared.partition(":")
    uid, gid = (0, 0) if not name else _look_up(name, root)
    if group:
        gid = int(group) if group.isdigit() else _group(group, root)
    if context.get("runAsUser") is not None:
        uid, gid = int(context["runAsUser"]), 0
    if context.get("runAsGroup") is not None:
        gid = int(context["runAsGroup"])
    if context.get("runAsNonRoot") and uid == 0:
        msg = "CreateContainerConfigError: container has runAsNonRoot and image will run as root"
        raise StepError(msg)
    extra = {int(each) for each in (*(pod.get("supplementalGroups") or ()), *_fs_group(pod))}
    return User(uid, gid, tuple(sorted(extra)))


def _fs_group(pod: Json) -> tuple[int, ...]:
    return () if pod.get("fsGroup") is None else (int(pod["fsGroup"]),)


def _look_up(name: str, root: str) -> tuple[int, int]:
    for fields in _entries(root, "passwd"):
        if len(fields) > 3 and name in (fields[0], fields[2]):  # noqa: PLR2004 - name, password, uid, gid
            return int(fields[2]), int(fields[3])
    if name.isdigit():
        return int(name), 0
    msg = f"CreateContainerError: unable to find user {name}: no matching entries in passwd file"
    raise StepError(msg)


def _group(name: str, root: str) -> int:
    for fields in _entries(root, "group"):
        if len(fields) > 2 and fields[0] == name:  # noqa: PLR2004 - name, password, gid
            return int(fields[2])
    msg = f"CreateContainerError: unable to find group {name}: no matching entries in group file"
    raise StepError(msg)


def _entries(root: str, name: str) -> list[list[str]]:
    """The lines of the image's own passwd or group; a link in its way could lead out of the image and is not followed."""
    try:
        etc = os.open(f"{root}/etc", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return []
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=etc)
    except OSError:
        return []
    finally:
        os.close(etc)
    with os.fdopen(file, encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n").split(":") for line in lines]


def capabilities(context: Json) -> list[str]:
    """The capabilities that the container keeps."""
    if context.get("privileged"):
        return _all_capabilities()
    asked = context.get("capabilities") or {}
    added, dropped = ({_plain(each) for each in asked.get(key) or ()} for key in ("add", "drop"))
    kept = set() if "ALL" in dropped else {each for each in _DEFAULT_CAPABILITIES if each not in dropped}
    if "ALL" in added:
        return [each for each in _all_capabilities() if each.removeprefix("CAP_") not in dropped]
    return sorted(f"CAP_{each}" for each in kept | added)


def _plain(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _all_capabilities() -> list[str]:
    return sorted(f"CAP_{each}" for each in (
        *_DEFAULT_CAPABILITIES, "DAC_READ_SEARCH", "LINUX_IMMUTABLE", "NET_BROADCAST", "NET_ADMIN", "IPC_LOCK",
        "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "LEASE", "AUDIT_CONTROL", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
        "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
    ))  # fmt: skip


def seccomp(context: Json, kept: list[str]) -> Json | None:
    """The system calls that are let through, as runc wants them; None: all. Raises StepError."""
    kind = (context.get("seccompProfile") or {}).get("type") or "Unconfined"
    if kind == "Unconfined" or context.get("privileged"):
        return None
    if kind != "RuntimeDefault":
        msg = f"seccompProfile {kind} needs a profile on the node, and this machine has none: use RuntimeDefault"
        raise StepError(msg)
    for path in SECCOMP_FILES:
        if Path(path).is_file():
            return _profile(json.loads(Path(path).read_text(encoding="utf-8")), set(kept))
    msg = f"seccompProfile RuntimeDefault: no profile at {' or '.join(SECCOMP_FILES)}: install buildah's dependencies"
    raise StepError(msg)


def _profile(told: Mapping[str, Any], kept: set[str]) -> Json:
    """The profile of containers-common, whose rules depend on architecture and capabilities, for this one container."""
    machine = _ARCHITECTURES.get(os.uname().machine, "")
    rules = []
    for rule in told.get("syscalls") or ():
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if "arches" in includes and machine not in includes["arches"]:
            continue
        if not set(includes.get("caps") or ()) <= kept or set(excludes.get("caps") or ()) & kept:
            continue
        found = {"names": rule["names"], "action": rule["action"], "args": rule.get("args") or []}
        if rule.get("errnoRet") is not None:
            found["errnoRet"] = rule["errnoRet"]
        rules.append(found)
    native = f"SCMP_ARCH_{os.uname().machine.upper()}"
    families = [each for each in told.get("archMap") or () if each["architecture"] == native]
    architectures = [native, *(sub for each in families for sub in each.get("subArchitectures") or ())]
    profile = {"defaultAction": told["defaultAction"], "architectures": architectures, "syscalls": rules}
    if told.get("defaultErrnoRet") is not None:
        profile["defaultErrnoRet"] = told["defaultErrnoRet"]
    return profile
