"""The configuration of one container, in the form of the OCI runtime specification 1.0."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tiphys.engine.errors import StepError
from tiphys.engine.oci.security import User, capabilities, seccomp

Json = dict[str, Any]
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PERIOD = 100_000  # microseconds: the period of a processor's quota, Kubernetes' own
_UNITS = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}
_OF_THE_HOST = ("/etc/hosts", "/etc/resolv.conf")
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def quantity(text: Any) -> float:
    """A Kubernetes quantity such as `512Mi`, `250m` or `1.5` as a number. Raises StepError."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)", str(text))
    if found is None or found[2] not in _UNITS:
        msg = f"{text!r} is no quantity: write 512Mi, 2Gi, 250m or 1.5"
        raise StepError(msg)
    return float(found[1]) * _UNITS[found[2]]


def runtime_config(  # noqa: PLR0913
    body: Json, context: Json, user: User, *,
    argv: Sequence[str], env: Mapping[str, str], cwd: str, volumes: Sequence[Json], cgroup: str,
) -> Json:  # fmt: skip
    """What runc must know of a container whose root is at `rootfs` beside this configuration. Raises StepError.

    It has the machine's network and host name, as a pod with hostNetwork: the servers that steps reach listen on
    loopback.
    """
    kept = capabilities(context)
    config: Json = {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": bool(context.get("readOnlyRootFilesystem"))},
        "process": {
            "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
            "args": list(argv),
            "env": [f"{name}={value}" for name, value in env.items()],
            "cwd": cwd,
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), kept),
            "noNewPrivileges": context.get("allowPrivilegeEscalation") is False,
        },
        "mounts": [*_system_mounts(privileged=bool(context.get("privileged"))), *map(_volume_mount, volumes)],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "mount")],
            "resources": _resources(body),
            "maskedPaths": [] if context.get("privileged") else list(_MASKED),
            "readonlyPaths": [] if context.get("privileged") else list(_READ_ONLY),
        },
    }
    profile = seccomp(context, kept)
    if profile is not None:
        config["linux"]["seccomp"] = profile
    return config


def _resources(body: Json) -> Json:
    """Limits, which the kernel then keeps; requests decide who is slowed when processors are scarce."""
    resources = body.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    found: Json = {"devices": [{"allow": False, "access": "rwm"}]}
    if limits.get("memory") is not None:
        found["memory"] = {"limit": int(quantity(limits["memory"]))}
    cpu: Json = {}
    if limits.get("cpu") is not None:
        cpu |= {"period": _PERIOD, "quota": max(1000, int(quantity(limits["cpu"]) * _PERIOD))}
    asked = requests.get("cpu", limits.get("cpu"))
    if asked is not None:
        cpu["shares"] = max(2, int(quantity(asked) * 1024))
    if cpu:
        found["cpu"] = cpu
    return found


def _system_mounts(*, privileged: bool) -> list[Json]:
    quiet = ["nosuid", "noexec", "nodev"]
    sys = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*quiet, "rw" if privileged else "ro"]}
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*quiet, "mode=1777", "size=65536k"]},  # noqa: S108 - the container's own
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet},
        sys,
        *({"destination": path, "type": "bind", "source": path, "options": ["bind", "ro"]} for path in _OF_THE_HOST),
    ]  # fmt: skip


def _volume_mount(volume: Json) -> Json:
    access = "ro" if volume.get("readOnly") else "rw"
    return {"destination": volume["path"], "type": "bind", "source": volume["source"], "options": ["rbind", access]}
