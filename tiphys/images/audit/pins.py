"""Is everything that comes from elsewhere pinned? Reads Dockerfiles and locks; needs neither network nor images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tiphys.images.audit.finding import Finding, verdict
from tiphys.locks import sections

LOCKS = ("requirements.lock", "requirements-triton.lock")
JARS = "jars.lock"
_OWN = re.compile(r"\$\{IMAGES\}/[a-z-]+:\$\{VERSION\}")
_DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
_FETCHING = re.compile(r"\b(curl|wget|git clone|npm|pip3? install|uv pip install|uvx|go install)\b")


def pins(project: Path) -> list[Finding]:
    """Every check of Dockerfiles and locks."""
    found = []
    for dockerfile in sorted((project / "images").glob("*/Dockerfile")):
        name = str(dockerfile.relative_to(project))
        faults = list(dockerfile_faults(dockerfile.read_text(encoding="utf-8")))
        found += verdict(
            name, faults, "starts from a digest or our own images, fetches nothing unpinned, does not end as root"
        )
    for name in LOCKS:
        faults = list(lock_faults(project / name))
        found += verdict(name, faults, f"{len(sections(project / name)) - 1} packages, each by version and digest")
    faults = list(jar_faults((project / JARS).read_text(encoding="utf-8")))
    return found + verdict(JARS, faults, "each jar by version and digest")


def dockerfile_faults(text: str) -> Iterator[str]:
    """What in a Dockerfile is not pinned, or would run as root."""
    text = re.sub(r"\\\n", " ", text)
    stages: set[str] = set()
    user = ""
    for line in text.splitlines():
        words = line.split()
        instruction = words[0] if words else ""
        if instruction == "FROM":
            yield from _from_faults(words, stages)
            user = ""
        elif instruction == "ARG" and words[1].startswith("BASE=") and not _DIGEST.fullmatch(words[1][5:]):
            yield f"the base {words[1][5:]} is not pinned by digest: write NAME:TAG@sha256:DIGEST"
        elif instruction == "COPY" and words[1].startswith("--from=") and words[1][7:] not in stages:
            yield f"copies from {words[1][7:]}, which is no stage of it: declare it with FROM, which is checked"
        elif instruction == "ADD":
            yield f"'{line}' may fetch or unpack something: use COPY"
        elif instruction == "RUN" and _FETCHING.search(line):
            yield f"'{line[:80]}' fetches something without a digest: let tiphys.images.inside install it by the lock"
        elif instruction == "USER":
            user = words[1]
    if user.partition(":")[0] in {"root", "0"}:
        yield "its last stage runs as root"


def lock_faults(lock: Path) -> Iterator[str]:
    """Packages of a lock without exact version or digest."""
    for name, text in sections(lock).items():
        if name and "--hash=sha256:" not in text:
            yield f"{name} has no digest: run 'make lock'"
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line[:1].isalpha() and not re.match(r"[\w.-]+==[\w.!+-]+", line):
            yield f"'{line}' has no exact version: run 'make lock'"
        if "://" in line:
            yield f"'{line}' names an address: a lock holds versions and digests only"


def jar_faults(text: str) -> Iterator[str]:
    """Lines of the lock of jars without exact version or digest."""
    for line in text.splitlines():
        pin = line.partition("#")[0].strip()
        if pin and not re.fullmatch(r"[\w.-]+:[\w.-]+:\d[\w.-]* [0-9a-f]{64}", pin):
            yield f"'{pin}' is not GROUP:NAME:VERSION SHA256"


def _from_faults(words: list[str], stages: set[str]) -> Iterator[str]:
    image = words[1]
    pinned = image in stages or image in {"scratch", "${BASE}"} or _OWN.fullmatch(image) or _DIGEST.fullmatch(image)
    if not pinned:
        yield f"starts from {image}, which is not pinned by digest: write NAME:TAG@sha256:DIGEST"
    if len(words) > 3:  # noqa: PLR2004 - FROM image AS name
        stages.add(words[3])
