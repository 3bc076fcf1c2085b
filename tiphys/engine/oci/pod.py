"""From what the launcher needs for a process to what it needs for the same step in its image."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.engine.environment import declared
from tiphys.engine.errors import StepError
from tiphys.engine.oci.config import DEFAULT_PATH, runtime_config
from tiphys.engine.oci.security import context_of, user_of
from tiphys.engine.oci.storage import RUNTIME, OciImage, Storage

if TYPE_CHECKING:
    from tiphys.engine.objects import ObjectStore
    from tiphys.engine.pod import Place

Json = dict[str, Any]
_GROUP = "tiphys"
_CGROUPS = Path("/sys/fs/cgroup")


class InImage:
    """One container of a pod that runs in its image."""

    def __init__(self, template: Json, body: Json, image: OciImage, storage: Storage, place: Place) -> None:
        """Raises StepError where this machine can't do it or the manifest forbids it."""
        if not place.private:
            msg = (
                f"image {image.name}: a container needs namespaces, and there are none here: run its step as a process"
            )
            raise StepError(msg)
        self._body = body
        self._image = image
        self._place = place
        self._pod = template.get("securityContext") or {}
        self._context = context_of(self._pod, body.get("securityContext") or {})
        self.root = storage.root(image)
        self._user = user_of(self._context, self._pod, image.user, self.root)

    def environment(self, objects: ObjectStore, more: Mapping[str, str]) -> dict[str, str]:
        """The image's own environment, then the manifest's; the runtime adds HOME."""
        return {"PATH": DEFAULT_PATH, **self._image.env, **declared(self._body, objects), **more}

    def bundle(self, name: str, argv: Sequence[str], env: Mapping[str, str], volumes: Sequence[Json]) -> Json:
        """What the launcher must know to make the container `name` ready. Raises StepError."""
        for volume in volumes:
            _open_to(Path(volume["source"]), self._pod.get("fsGroup"))
        cwd = self._body.get("workingDir") or self._image.workdir
        identity = cgroup_name(self._place.attempt, name)
        config = runtime_config(
            self._body, self._context, self._user,
            argv=argv, env=env, cwd=cwd, volumes=volumes, cgroup=f"/{_GROUP}/{identity}",
        )  # fmt: skip
        return {
            "name": name,
            "folder": f"{self._place.attempt}/bundle-{name}",
            "lower": self.root,
            "upper": f"{self._place.attempt}/overlays/{name}",
            "attempt": str(self._place.attempt),
            "config": config,
            "volumes": list(volumes),
            "owner": [self._user.uid, self._user.gid],
            "files": [],
            "folders": [],
            "collect": [],
        }

    def entry(self, bundle: Json) -> Json:
        """The command line that starts the container, the one that starts another program in it, its state's file."""
        folder, identity = bundle["folder"], cgroup_name(self._place.attempt, bundle["name"])
        words = [_program(), "--root", f"{folder}/state"]
        log = ["--log", f"{folder}/log", "--log-format", "json"]
        return {
            "argv": [*words, *log, "run", "--keep", "--bundle", folder, identity],
            "enter": [*words, "exec", identity],
            "state": f"{folder}/state/{identity}/state.json",
            "env": {},
            "cwd": "/",
        }


def _program() -> str:
    return shutil.which(RUNTIME) or RUNTIME


def cgroup_name(attempt: Path, name: str) -> str:
    """The name of a container's control group, and its own for the runtime: no other attempt of any engine has it."""
    return f"{hashlib.sha256(str(attempt).encode()).hexdigest()[:16]}-{name}"


def take_control_groups_away(attempt: Path) -> None:
    """Remove the groups that a killed container has left; they are empty."""
    prefix = cgroup_name(attempt, "")
    for parent in (_CGROUPS / _GROUP, *_CGROUPS.glob(f"*/{_GROUP}")):
        for group in parent.glob(f"{prefix}*"):
            try:
                group.rmdir()
            except OSError:
                continue  # something of it still ends; an empty group costs nothing


def _open_to(folder: Path, group: Any) -> None:
    """A volume is for every user of the pod, as an emptyDir of a kubelet."""
    if folder.is_dir():
        if group is not None:
            os.chown(folder, -1, int(group))
        folder.chmod(0o2777 if group is not None else 0o777)
