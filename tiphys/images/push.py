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
from tiphys.settings import RegistrySettings

REFUSED = (
    "unauthorized",
    "authentication required",
    "access denied",
    "denied:",
    "forbidden",
    "no basic auth credentials",
)
"""How builders say that a registry wants another login."""

UNTRUSTED = ("x509:", "server gave http response to https client")
"""How they say that its certificate is not trusted, or that it has none."""


@dataclass(frozen=True)
class Pushed:
    """What became of one image."""

    target: str
    seconds: float


def push(  # noqa: PLR0913
    builder: Builder, wanted: Sequence[Recipe], registry: str, tag: str, *, logs: Path, settings: RegistrySettings
) -> Iterator[Pushed]:
    """Push images as ``REGISTRY/tiphys/NAME:TAG``, one after another; none if one of them is not here.

    Args:
        builder: whose images they are, and whose logins count.
        wanted: the images.
        registry: ``HOST[:PORT][/PATH]``.
        tag: their tag there.
        logs: a folder; what the builder says goes to ``push-NAME.log``.
        settings: which registries have no TLS.

    Raises:
        TiphysError: registry or tag can be none, one is not here, or the registry refuses it; what was pushed before stays.
    """
    if not registry:
        message = "no registry is named: write HOST, HOST:PORT or HOST/FOLDER"
        raise PermanentError(message)
    check_images(registry, tag)
    ids = {each.name: builder.image_id(f"{builder.prefix}/{each.name}:{__version__}") for each in wanted}
    missing = [name for name, identity in ids.items() if not identity]
    if missing:
        message = (
            f"{builder.kind} has no {builder.prefix}/{missing[0]}:{__version__} (missing: {', '.join(missing)}): "
            f"'tiphys images build' builds them, --builder and --prefix say whose are pushed"
        )
        raise PermanentError(message)
    host = registry.partition("/")[0]
    for name, identity in ids.items():
        target, log, began = f"{registry}/tiphys/{name}:{tag}", logs / f"push-{name}.log", time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        try:
            for command in builder.push(identity, target, plain_http=settings.is_plain(host)):
                run(command, log)
        except subprocess.CalledProcessError as error:
            raise explained(builder, target, str(error.output), log) from error
        yield Pushed(target, time.monotonic() - began)


def explained(builder: Builder, target: str, said: str, log: Path) -> TiphysError:
    """What a builder's failure means; `said` is the end of what it wrote to `log`."""
    host = target.partition("/")[0]
    lines = [each.strip() for each in said.splitlines() if each.strip()]
    telling = [each for each in lines if "rror" in each or "denied" in each]
    last = (telling or lines or ["it said nothing"])[-1][:300]
    if any(each in said.lower() for each in REFUSED):
        return PermanentError(f"{host} refuses {target}: {last}; log in with '{builder.kind} login {host}'")
    if any(each in said.lower() for each in UNTRUSTED):
        remedy = "docker's insecure-registries" if builder.kind == "docker" else "TIPHYS_REGISTRY_PLAIN_HTTP"
        return PermanentError(
            f"{host} is not trusted: {last}; give this machine its authority, or name it in {remedy} if it has no TLS"
        )
    return RetryableError(f"{target} can't be pushed: {last}; the whole log: {log}")
