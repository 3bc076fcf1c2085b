"""The work of ``build-images``: the revision's own ``tiphys images build``, then each image by digest into the registry.

The one step that cannot run without privileges: docs/architecture/06-serving-and-release.md says which and why.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from components.build_images.contract import Inputs, Outputs
from tiphys.errors import PermanentError
from tiphys.lake import sources
from tiphys.lake.s3 import S3
from tiphys.oci.buildah import buildah
from tiphys.oci.push import push_folder
from tiphys.oci.reference import Reference
from tiphys.settings import INSTALLERS, RegistrySettings, load, surroundings
from tiphys.step import Context

_SHIPPED = "org.opencontainers.image.title"

log = logging.getLogger(__name__)


def run(inputs: Inputs, _context: Context) -> Outputs:
    """Build and push.

    Raises:
        PermanentError: this machine may not build, an image cannot be built, or the registry refuses.
        DataError: the revision is not in the bundle.
        RetryableError: S3 or the registry is away.
    """
    if os.geteuid() != 0 or shutil.which("buildah") is None:
        message = (
            "images are built as root with buildah here: run this step in its image with the privileges it declares"
        )
        raise PermanentError(message)
    settings, made = load(RegistrySettings), {}
    with tempfile.TemporaryDirectory(prefix="build-") as scratch:
        folder = Path(scratch) / "source"
        sources.clone(inputs.source, inputs.commit, folder, S3())
        for name, tag in build(folder, inputs.images.split()).items():
            made[name] = str(publish(name, tag, inputs.commit, settings))
            log.info("%s is %s", name, made[name])
    return Outputs(images=made)


def build(folder: Path, names: list[str]) -> dict[str, str]:
    """Build with the revision's own code; returns name -> tag in buildah's storage of the images that are for use.

    Raises:
        PermanentError: one cannot be built; the last lines say why.
    """
    command = [sys.executable, "-m", "tiphys", "images", "build", "--builder", "buildah", *names]
    environment = {**surroundings(*INSTALLERS), "PYTHONPATH": str(folder)}
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(done.stdout[-20_000:], flush=True)  # noqa: T201 - the builder's own words are the step's log
    if done.returncode != 0:
        last = "; ".join(done.stdout.strip().splitlines()[-3:])
        message = f"the images cannot be built: {last}"
        raise PermanentError(message)
    tags = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("localhost/tiphys/")]
    titled = {tag: _labels(tag).get(_SHIPPED) for tag in tags}
    return {tag.rpartition("/")[2].partition(":")[0]: tag for tag, title in titled.items() if title}


def publish(name: str, tag: str, commit: str, settings: RegistrySettings) -> Reference:
    """Push an image and return its name by digest; without a registry it stays in buildah's storage.

    Raises:
        PermanentError: the registry refuses.
        RetryableError: the registry is away.
    """
    if not settings.registry:
        return Reference(tag.rpartition(":")[0], str(_inspect(tag)["FromImageDigest"]))
    with tempfile.TemporaryDirectory(prefix="image-") as scratch:
        buildah("push", "--quiet", tag, f"oci:{scratch}/image")
        return push_folder(Path(scratch) / "image", f"{settings.registry.rstrip('/')}/{name}", commit[:12], settings)


def _labels(tag: str) -> dict[str, str]:
    return _inspect(tag)["OCIv1"]["config"].get("Labels") or {}


def _inspect(tag: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", tag))
    return found
