"""Which program builds images here, and how it is asked: docker, podman or buildah."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tiphys.errors import PermanentError, SettingsError

Kind = Literal["docker", "podman", "buildah"]
KINDS: tuple[Kind, ...] = ("docker", "podman", "buildah")

_PROBE: Mapping[Kind, tuple[str, ...]] = {
    "docker": ("docker", "version", "--format", "{{.Server.Version}}"),
    "podman": ("podman", "info", "--format", "{{.Version.Version}}"),
    "buildah": ("buildah", "info"),
}
_PROBE_SECONDS = 30


class NoBuilderError(PermanentError):
    """Nothing here can build images."""


@dataclass(frozen=True)
class Builder:
    """One program that builds images."""

    kind: Kind
    names_start: str = ""

    @property
    def prefix(self) -> str:
        """What stands before the name of an image that was built here."""
        return self.names_start or ("tiphys" if self.kind == "docker" else "localhost/tiphys")

    def build(
        self, dockerfile: Path, context: Path, tag: str, arguments: Mapping[str, str], secrets: Mapping[str, Path]
    ) -> list[str]:
        """The command that builds one image; what has not changed is taken from its cache.

        Buildah and podman take an ENV or LABEL from their cache whatever a build argument in it was: what tells the
        revision is said once more as options, which are compared.
        """
        words = ["build", "--file", str(dockerfile), "--tag", tag]
        words += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        words += [word for name, path in secrets.items() for word in ("--secret", f"id={name},src={path}")]
        if self.kind == "docker":
            return ["docker", *words, "--progress", "plain", str(context)]
        if found := arguments.get("REVISION"):
            words += ["--label", f"org.opencontainers.image.revision={found}", "--env", f"TIPHYS_REVISION={found}"]
        layers = ["--layers", "--force-rm", "--format", "oci"]
        isolation = ["--isolation", "chroot"] if self.kind == "buildah" else []
        return [self.kind, *words, *layers, *isolation, str(context)]

    def push(self, image: str, target: str, *, plain_http: bool = False) -> list[list[str]]:
        """The commands that push an image, by its id; whether docker takes a registry without TLS is a setting of its own."""
        if self.kind == "docker":
            return [["docker", "tag", image, target], ["docker", "push", target], ["docker", "rmi", target]]
        return [[self.kind, "push", *(["--tls-verify=false"] if plain_http else []), image, f"docker://{target}"]]

    def lends(self, folder: Path) -> list[str]:
        """More words that show a folder of this machine to a build; docker can't."""
        return [] if self.kind == "docker" else ["--volume", f"{folder}:{folder}:ro"]

    def image_id(self, tag: str) -> str:
        """The image's id, a digest of all that it is; empty if there is none."""
        words = [
            "inspect",
            "--type",
            "image",
            "--format",
            "{{.FromImageID}}" if self.kind == "buildah" else "{{.Id}}",
            tag,
        ]
        done = subprocess.run([self.kind, *words], capture_output=True, text=True, check=False)  # noqa: S603
        return done.stdout.strip().removeprefix("sha256:") if done.returncode == 0 else ""

    def layers(self, tag: str) -> dict[str, int]:
        """The image's layers: digest -> bytes, unpacked.

        Raises:
            PermanentError: there is no such image.
        """
        if self.kind == "buildah":
            manifest = json.loads(self.inspect(tag)["Manifest"])
            return {each["digest"]: each["size"] for each in manifest["layers"]}
        told = self.inspect(tag)
        digests: list[str] = told["RootFS"]["Layers"]
        # docker and podman tell the sum only: it stands with the last layer, so that sums are right.
        return {**dict.fromkeys(digests, 0), digests[-1]: int(told["Size"])}

    def labels(self, tag: str) -> dict[str, str]:
        """The image's labels."""
        told = self.inspect(tag)
        config: dict[str, Any] = told["OCIv1"]["config"] if self.kind == "buildah" else told["Config"]
        return config.get("Labels") or {}

    def inspect(self, tag: str) -> dict[str, Any]:
        """All that the builder tells of an image, in its own words.

        Raises:
            PermanentError: there is no such image.
        """
        command = [self.kind, "inspect", "--type", "image", tag]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            message = f"no image {tag} here: 'tiphys images build {tag.rpartition('/')[2].partition(':')[0]}' builds it"
            raise PermanentError(message)
        found = json.loads(done.stdout)
        image: dict[str, Any] = found[0] if isinstance(found, list) else found
        return image


def builder(wanted: str = "") -> Builder:
    """The builder that is asked for, or the first that works: as root buildah, whose images the engine runs, comes first.

    Raises:
        SettingsError: there is no such builder.
        NoBuilderError: none works; says of each why, and the remedy.
    """
    if wanted and wanted not in KINDS:
        message = f"{wanted!r} is no builder of images: docker, podman and buildah are"
        raise SettingsError(message)
    order = [each for each in KINDS if each == wanted] or _order()
    reasons = []
    for kind in order:
        why_not = _why_not(kind)
        if not why_not:
            return Builder(kind)
        reasons.append(f"{kind}: {why_not}")
    remedy = "as root 'tiphys images build' installs buildah with apt; else: sudo apt-get install -y buildah"
    message = f"nothing here can build images ({'; '.join(reasons)}): {remedy}"
    raise NoBuilderError(message)


def _order() -> Sequence[Kind]:
    return ("buildah", "docker", "podman") if os.geteuid() == 0 else KINDS


def _why_not(kind: Kind) -> str:
    if shutil.which(kind) is None:
        return "not installed"
    try:
        done = subprocess.run(  # noqa: S603
            _PROBE[kind], capture_output=True, text=True, check=False, timeout=_PROBE_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1][:200] if lines else f"exit code {done.returncode}"
