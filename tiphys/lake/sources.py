"""A git revision of the code in S3: one bundle with its history, pinned by the commit itself, which git checks.

The one door to git. It asks for nothing at a terminal, reads no configuration of the machine or of the repository, runs
no hook, and speaks https or reads a path.
"""

from __future__ import annotations

import base64
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tiphys.errors import DataError, PermanentError, RetryableError
from tiphys.lake.s3 import S3
from tiphys.settings import PROGRAMS, GitSettings, surroundings

_BRANCH = "checkout"
_AWAY = ("Could not resolve", "unable to access", "Connection", "timed out", "early EOF", "RPC failed", "HTTP 5")
_DENIED = ("Authentication failed", "could not read Username", "403", "Repository not found")


def fetch(repository: str, revision: str, store: S3, settings: GitSettings) -> tuple[str, str]:
    """Put a revision of a repository into S3; returns its commit and where it lies. Done twice it is the same commit.

    Raises:
        DataError: there is no such repository, or no such revision in it.
        PermanentError: it may not be read.
        RetryableError: it, or S3, is away.
    """
    _refuse_odd(repository, revision)
    with tempfile.TemporaryDirectory(prefix="checkout-") as scratch:
        folder, bundle = Path(scratch) / "repository", Path(scratch) / "source.bundle"
        _git(scratch, "init", "--quiet", "--bare", str(folder))
        _git(folder, "fetch", "--quiet", "--no-tags", repository, revision, lent=_login(repository, settings))
        commit = _git(folder, "rev-parse", "FETCH_HEAD^{commit}")
        _git(folder, "update-ref", f"refs/heads/{_BRANCH}", commit)
        _git(folder, "bundle", "create", "--quiet", str(bundle), _BRANCH)
        where = f"s3://landing/source/{commit}.bundle"
        store.put(where, bundle)
    return commit, where


def clone(source: str, commit: str, folder: Path, store: S3) -> None:
    """Make a working tree of a commit in a folder that does not exist yet.

    Raises:
        DataError: the bundle is damaged, or holds another commit.
        RetryableError: S3 is away.
    """
    with tempfile.TemporaryDirectory(prefix="source-") as scratch:
        bundle = Path(scratch) / "source.bundle"
        store.download(source, bundle)
        _git(scratch, "clone", "--quiet", "--branch", _BRANCH, str(bundle), str(folder))
    found = _git(folder, "rev-parse", "HEAD")
    if found != commit:
        message = f"{source} holds commit {found}, not {commit}: run 'checkout' again"
        raise DataError(message)


def _refuse_odd(repository: str, revision: str) -> None:
    scheme = urlsplit(repository).scheme
    if not (scheme in {"https", "file"} or repository.startswith("/")) or "@" in urlsplit(repository).netloc:
        message = (
            f"repository {repository.rpartition('@')[2]!r} is refused: give https://..., file:///... or an absolute path, "
            "without a user; a token for https stands in TIPHYS_GIT_TOKEN"
        )
        raise DataError(message)
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./+-]{0,200}", revision) or ".." in revision:
        message = f"revision {revision!r} is refused: give a branch, a tag or all digits of a commit"
        raise DataError(message)
    if re.fullmatch(r"[0-9a-f]{7,39}", revision):
        message = f"revision {revision!r} looks like the beginning of a commit: give all 40 digits, a branch or a tag"
        raise DataError(message)


def _login(repository: str, settings: GitSettings) -> dict[str, str]:
    """What git is lent for a private repository: in its environment, which no other user sees, not in its arguments."""
    if not settings.token or not repository.startswith("https:"):
        return {}
    login = base64.b64encode(f"x-access-token:{settings.token}".encode()).decode()
    return {"http.extraHeader": f"Authorization: Basic {login}"}


def _git(folder: str | Path, *words: str, lent: Mapping[str, str] | None = None) -> str:
    options = {"safe.directory": "*", "protocol.allow": "never", "protocol.https.allow": "always"}
    options |= {"protocol.file.allow": "always", "core.hooksPath": "/dev/null", **(lent or {})}
    environment = {
        **surroundings(*PROGRAMS),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(len(options)),
    }
    for number, (name, value) in enumerate(options.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            ["git", "-C", str(folder), *words],  # noqa: S607
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        message = "git is not installed where this step runs: use the step's image, or install git"
        raise PermanentError(message) from None
    if done.returncode != 0:
        raise _explained(words, done.stderr.strip())
    return done.stdout.strip()


def _explained(words: tuple[str, ...], said: str) -> Exception:
    last = said.splitlines()[-1] if said else "it said nothing"
    message = f"git {words[0]} failed: {said[-500:] or last}"
    if words[0] != "fetch":
        return DataError(message)
    where, revision = words[-2:]
    if any(each in said for each in _DENIED):
        return PermanentError(f"{where} may not be read: {last}; put a token for it into TIPHYS_GIT_TOKEN")
    if any(each in said for each in _AWAY):
        return RetryableError(f"{where} does not answer: {last}; it can be tried again")
    return DataError(f"there is no revision {revision!r} in {where}: {last}")
