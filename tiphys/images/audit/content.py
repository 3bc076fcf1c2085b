"""Is a built image what it should be? Its configuration, and every file in it: no root, no setuid, no secret, nothing unlisted."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tiphys.images.audit.finding import Finding, verdict
from tiphys.images.builders import Builder
from tiphys.images.content import SBOM, mounted

LABELS = tuple(
    f"org.opencontainers.image.{each}" for each in ("title", "description", "licenses", "version", "revision")
)
SECRET_FILES = re.compile(
    r"(^|/)(\.netrc|\.pypirc|\.env|\.git-credentials|id_(rsa|ecdsa|ed25519)|credentials|uv\.toml|pip\.conf|\.aws|\.ssh|\.docker|\.git)$"
)
PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\n[A-Za-z0-9+/=\n]{64}")
SECRET_NAMES = re.compile(r"(PASSWORD|SECRET|TOKEN|CREDENTIAL|ACCESS_KEY|_KEY$)")
INSTALLERS = (
    "usr/bin/apt",
    "usr/bin/apt-get",
    "opt/venv/bin/pip",
    "opt/venv/bin/uv",
    "usr/bin/pip",
    "usr/bin/gcc",
    "opt/tools",
)
SCRATCH = ("tmp", "var/tmp", "root/.cache", "var/cache/apt/archives")
_KEYS_IN = (".pem", ".key", ".json", ".txt", ".conf", ".cfg", ".ini", ".env", ".toml", ".yaml", ".yml", "")
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Configuration:
    """What an image says of itself."""

    user: str
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    entrypoint: tuple[str, ...]
    history: tuple[str, ...]


def content(builder: Builder, tag: str, secrets: frozenset[str] = frozenset()) -> list[Finding]:
    """Look at all of one image; `secrets` are texts that must be nowhere in what it says of itself."""
    if builder.kind != "buildah":
        return [
            Finding(tag, "not checked", f"{builder.kind} can't show its files without starting it: audit with buildah")
        ]
    faults = list(configuration_faults(configuration(builder, tag), secrets))
    with mounted(tag) as root:
        faults += file_faults(root)
    good = "not root, no setuid program, no secret, no installer; labels, and a list of what it holds"
    return verdict(tag, faults, good)


def configuration(builder: Builder, tag: str) -> Configuration:
    """Read it from buildah's storage."""
    told = builder.inspect(tag)["OCIv1"]
    config = told["config"]
    return Configuration(
        user=config.get("User", ""),
        environment=dict(each.split("=", 1) for each in config.get("Env", [])),
        labels=config.get("Labels") or {},
        entrypoint=tuple(config.get("Entrypoint") or ()),
        history=tuple(each.get("created_by", "") for each in told.get("history", [])),
    )


def configuration_faults(config: Configuration, secrets: frozenset[str]) -> Iterator[str]:
    """What is wrong with what it says of itself."""
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", config.user):
        yield f"runs as {config.user or 'root'}: USER must be a number that is not 0, or Kubernetes can't tell"
    for name in LABELS:
        if not config.labels.get(name):
            yield f"label {name} is missing"
    if not config.entrypoint or config.entrypoint[0] in {"sh", "bash", "/bin/sh", "/bin/bash"}:
        yield f"starts {' '.join(config.entrypoint) or 'nothing'}: it must start its program itself"
    for name, value in config.environment.items():
        if SECRET_NAMES.search(name) and value:
            yield f"variable {name} looks like a secret: give it at run time"
    spoken = json.dumps([dict(config.environment), dict(config.labels), config.history])
    for each in secrets:
        if each in spoken:
            yield "a setting that the building machine lent is in its history, labels or environment"


def file_faults(root: Path) -> Iterator[str]:
    """What is wrong with its files."""
    for path in INSTALLERS:
        if (root / path).exists():
            yield f"/{path} installs or compiles: nothing in a running step may"
    for path in SCRATCH:
        if left := sorted(each.relative_to(root) for each in (root / path).rglob("*") if not each.is_dir()):
            yield f"/{left[0]} and {len(left) - 1:,} other files are left of its build"
    if not (root / SBOM).is_file():
        yield f"/{SBOM} is missing: nobody can tell what it holds"
    else:
        yield from _unlisted(root)
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            file = Path(folder, name)
            yield from _file_faults(file, f"/{file.relative_to(root)}")


def _file_faults(path: Path, shown: str) -> Iterator[str]:
    status = path.lstat()
    mode = status.st_mode
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
        yield f"{shown} is setuid or setgid"
    if mode & stat.S_IWOTH and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and not mode & stat.S_ISVTX:
        yield f"{shown} may be written by everyone"
    if stat.S_ISREG(mode) and SECRET_FILES.search(shown):
        yield f"{shown} has the name of a file with secrets or settings of a machine"
    if (
        stat.S_ISREG(mode)
        and status.st_size < _LARGEST
        and path.suffix in _KEYS_IN
        and PRIVATE_KEY.search(path.read_bytes())
    ):
        yield f"{shown} holds a private key"
    if shown.startswith("/run/secrets/"):
        yield f"{shown} was lent to the build and stayed"


def _unlisted(root: Path) -> Iterator[str]:
    """Python packages that lie there and that the SBOM doesn't name."""
    listed = {each["name"] for each in json.loads((root / SBOM).read_text(encoding="utf-8"))["components"]}
    for each in root.glob("opt/venv/lib/python3.*/site-packages/*.dist-info"):
        name = re.sub(r"[-_.]+", "-", each.name.partition("-")[0]).lower()
        if name not in {re.sub(r"[-_.]+", "-", known).lower() for known in listed}:
            yield f"the Python package {name} is not in its list of what it holds"
