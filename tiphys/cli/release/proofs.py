"""The checks of `tiphys release verify`, each with what was found."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.release.telling import signature

if TYPE_CHECKING:
    from tiphys.lake.s3 import S3
    from tiphys.release.client import LedgerClient
    from tiphys.release.records import Environment, Recorded
    from tiphys.serving.manifest import Manifest

_PATIENCE = 5.0
_RECOMPUTE_SECONDS = 1800.0
_SHOWN = 5


@dataclass(frozen=True)
class Proof:
    """One check."""

    name: str
    holds: bool
    found: str


def of_passport(there: LedgerClient, release: Recorded, keys: Sequence[str]) -> Iterator[Proof]:
    """Hold the passport against its signature, its digest, its release, and the ledger's evidence."""
    from tiphys.errors import TiphysError
    from tiphys.release.admission import digest
    from tiphys.release.passport import parse, strangers

    if not release.passport:
        yield Proof("passport", release.environment != "production", "none" + _needless(release))
        return
    passport = there.passport(release.passport)
    found = digest(passport)
    yield Proof("passport's digest", found == release.passport, f"sha256 {found}")
    sound, said = signature(passport, release, keys)
    yield Proof("signature", sound, said)
    try:
        statement = parse(passport.text)
    except TiphysError as error:
        yield Proof("evidence", holds=False, found=str(error))
        return
    cited = [each.number for each in statement.evidence.values()]
    faults = strangers(statement, there.weighed(release.manifest_sha256, cited))
    yield Proof(
        "evidence", not faults, "; ".join(faults) or f"{len(statement.evidence)} pieces, as the ledger has them"
    )


def _needless(release: Recorded) -> str:
    return "" if release.environment == "production" else f"; {release.environment} asks for none"


def of_files(release: Recorded) -> Iterator[Proof]:
    """Compare the repository in S3 with its manifest, and the image with both."""
    from tiphys.cli.surroundings import settings
    from tiphys.lake.s3 import S3
    from tiphys.serving.manifest import MANIFEST, parse
    from tiphys.settings import S3Settings

    store = S3(settings(S3Settings), patience=_PATIENCE)
    where = release.repository + MANIFEST
    manifest: list[Manifest] = []
    yield _held("manifest", lambda: manifest.append(parse(store.get(where), release.manifest_sha256, where)), where)
    for path, expected in manifest[0].files.items() if manifest else ():
        there = release.repository + path
        compare = functools.partial(_compare, store, there, expected.sha256)
        yield _held(path.rpartition("/")[2], compare, f"{expected.bytes:,} bytes, sha256 {expected.sha256}")
    if release.image:
        yield _held("image", lambda: _unpacked(release, store), release.image)


def _compare(store: S3, where: str, sha256: str) -> None:
    from tiphys.serving.manifest import check_digest

    check_digest(store.get(where), sha256, where)


def _unpacked(release: Recorded, store: S3) -> None:
    """Fetch the image's layer, which compares every digest on the way, and the manifest in it."""
    from tiphys.cli.surroundings import settings
    from tiphys.serving import model_image
    from tiphys.serving.copies import Source
    from tiphys.serving.manifest import MANIFEST, check_file, parse
    from tiphys.settings import RegistrySettings

    with tempfile.TemporaryDirectory(prefix="tiphys-verify-") as folder:
        layer = Path(folder) / "layer.tar"
        Source(store, settings(RegistrySettings)).fetch(release, layer)
        text = model_image.read_manifest(layer, release.image)
        manifest = parse(text, release.manifest_sha256, f"{release.image}: {MANIFEST}")
        sizes = {path: each.bytes for path, each in manifest.files.items()}
        model_image.unpack(layer, sizes, Path(folder), release.image)
        for path, each in manifest.files.items():
            check_file(Path(folder) / path, each, f"{release.image}: {path}")


def of_serving(release: Recorded, environment: Environment) -> Iterator[Proof]:
    """Compare with what the agent says that it serves, where the release is the environment's newest."""
    newest = environment.releases.get(release.use_case)
    observed = environment.observed.get(release.model)
    if newest is None or newest.generation != release.generation:
        return
    found = "nothing" if observed is None else f"{observed.state}, version {observed.version}"
    holds = observed is not None and (observed.state, observed.image) == ("serving", release.image)
    yield Proof("served", holds, f"the agent of {release.environment} says: {found}")


def of_figures(there: LedgerClient, release: Recorded, tolerance: float) -> Iterator[Proof]:
    """Compute the metrics from the named data version and model with the use case's own code, and compare."""
    evidence = there.evidence(manifest_sha256=release.manifest_sha256, kind="evaluation", limit=1)
    metrics = evidence[0].content.get("metrics") if evidence else None
    dataset = str(evidence[0].content.get("dataset", "")) if evidence else ""
    if not metrics or not dataset:
        yield Proof("figures", holds=False, found="no evaluation in the ledger names its dataset and its metrics")
        return
    computed, said = _recomputed(release, dataset)
    if computed is None:
        yield Proof("figures", holds=False, found=f"could not be computed again: {said}")
        return
    off = {
        name: _distance(value, computed.get(name)) for name, value in metrics.items() if isinstance(value, int | float)
    }
    worst = sorted(off, key=lambda name: -off[name])
    told = [f"{name} {metrics[name]:.6g}, now {computed.get(name)}" for name in worst[:_SHOWN] if off[name] > tolerance]
    found = f"{len(off)} from {dataset}, off by at most {max(off.values(), default=0.0):.2g} (allowed {tolerance:g})"
    yield Proof("figures", not told, found + (": " + "; ".join(told) if told else ""))


def _distance(told: float, computed: Any) -> float:
    """How far two figures are apart, as a share of the larger; figures below a millionth count as nothing."""
    if not isinstance(computed, int | float):
        return float("inf")
    largest = max(abs(told), abs(computed))
    return abs(told - computed) / largest if largest > 1e-6 else 0.0  # noqa: PLR2004


def _recomputed(release: Recorded, dataset: str) -> tuple[dict[str, float] | None, str]:
    """Run the evaluation's own figures in a process that may read what that step may read."""
    from tiphys.settings import PROGRAMS, PROJECT, stack_settings, surroundings
    from tiphys.stack import environment
    from tiphys.step import contracts

    lent = environment(stack_settings(), contracts(), "evaluate")
    command = [sys.executable, "-m", "components.evaluate.recompute", release.use_case, dataset, release.model_version]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, env={**surroundings(*PROGRAMS), **lent}, cwd=PROJECT, capture_output=True, text=True, check=False,
            timeout=_RECOMPUTE_SECONDS,
        )  # fmt: skip
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return None, str(error)
    return (found, "") if found else (None, "; ".join(done.stderr.splitlines()[-2:]))


def _held(name: str, check: Callable[[], object], found: str) -> Proof:
    from tiphys.errors import TiphysError

    try:
        check()
    except TiphysError as error:
        return Proof(name, holds=False, found=str(error))
    return Proof(name, holds=True, found=found)
