"""Push the images of a release to a registry, each under its own name: what a cluster pulls."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiphys import __version__
from tiphys.errors import PermanentError, RetryableError, TiphysError
from tiphys.images.builders import Builder
from tiphys.images.recipes import Recipe
from tiphys.images.running import run
from tiphys.placement import check_images

REFUSED = ("unauthorized", "authentication required", "denied", "forbidden", "no basic auth credentials")
"""How builders say that a registry wants another login."""


@dataclass(frozen=True)
class Pushed:
    """What became of one image."""

    target: str
    seconds: float


def push(  # noqa: PLR0913
    builder: Builder, wanted: Sequence[Recipe], registry: str, tag: str, *, logs: Path, plain_http: Sequence[str] = ()
) -> Iterator[Pushed]:
    """Push images as ``REGISTRY/tiphys/NAME:TAG``, one after another; none if one of them is not here.

    Args:
        builder: whose images they are, and whose logins count.
        wanted: the images.
        registry: ``HOST[:PORT][/PATH]``.
        tag: their tag there.
        logs: a folder; what the builder says goes to ``push-NAME.log``.
        plain_http: registries without TLS, as HOST or HOST:PORT.

    Raises:
        TiphysError: registry or tag can be none, one is not here, or the registry refuses it; what was pushed before stays.
    """
    check_images(registry, tag)
    sources = {each.name: f"{builder.prefix}/{each.name}:{__version__}" for each in wanted}
    missing = [name for name, source in sources.items() if not builder.image_id(source)]
    if missing:
        message = f"not built yet: {', '.join(missing)}: 'tiphys images build {' '.join(missing)}' builds them"
        raise PermanentError(message)
    host = registry.partition("/")[0]
    plain = host in plain_http or host.rpartition(":")[0] in plain_http
    for name, source in sources.items():
        target, log, began = f"{registry}/tiphys/{name}:{tag}", logs / f"push-{name}.log", time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        try:
            for command in builder.push(source, target, plain_http=plain):
                run(command, log)
        except subprocess.CalledProcessError as error:
            raise _explained(builder, target, host, str(error.output), log) from error
        yield Pushed(target, time.monotonic() - began)


def _explained(builder: Builder, target: str, host: str, said: str, log: Path) -> TiphysError:
    lines = [each.strip() for each in said.splitlines() if each.strip()]
    last = next(
        (each for each in reversed(lines) if "rror" in each or "denied" in each), (lines or ["it said nothing"])[-1]
    )
    if any(each in said.lower() for each in REFUSED):
        return PermanentError(f"{host} refuses {target}: {last[:300]}; log in with '{builder.kind} login {host}'")
    return RetryableError(f"{target} can't be pushed: {last[:300]}; is {host} right? the whole log: {log}")
