"""`tiphys release show`: what an environment serves now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tiphys.cli.release.access import ENVIRONMENTS, add_way, ledger
from tiphys.cli.release.telling import show

if TYPE_CHECKING:
    import argparse

    from tiphys.release.records import Environment, Recorded

_EXAMPLES = """examples:
  tiphys release show production
  tiphys release show canary --json
"""


def add_parser(ways: Any) -> None:
    """Declare it."""
    way = add_way(ways, "show", "what an environment serves now", _EXAMPLES, main)
    way.add_argument("environment", choices=ENVIRONMENTS, metavar="ENV", help=", ".join(ENVIRONMENTS))


def main(arguments: argparse.Namespace) -> int:
    """Print it."""
    there = ledger()
    found = there.current(arguments.environment)
    if arguments.json:
        print(found.model_dump_json(indent=1))
        return 0
    if not found.releases:
        print(f"nothing was released into {arguments.environment} yet: tiphys run continuous-training")
    for release in found.releases.values():
        _print_release(release, found)
    for services in there.services(arguments.environment):
        print(f"services of {arguments.environment}")
        print(f"  {'git commit':<16} {services.revision}")
        print(f"  {'generation':<16} {services.generation}")
        for name, image in sorted(services.images.items()):
            print(f"  {name:<16} {image}")
    return 0


def _print_release(release: Recorded, environment: Environment) -> None:
    observed = environment.observed.get(release.model)
    state = "not yet seen by its agent"
    if observed is not None and observed.generation == release.generation:
        state = f"{observed.state}: {observed.message}"
    rows = {
        "state": state,
        "answers with": (observed.version if observed else "") or "nothing",
        "model": release.model_version,
        "generation": f"{release.generation} ({release.kind})",
        "since": f"{release.made_at:%Y-%m-%d %H:%M:%S} UTC",
        **_traffic(release),
        "asked by": release.asked_by,
        "by run": release.run,
        "because": release.reason,
        "repository": release.repository,
        "manifest sha256": release.manifest_sha256,
        "image": release.image or "none: released before there were images",
        "passport": release.passport or ("none" if environment.environment == "production" else ""),
    }
    print(f"{release.use_case} in {environment.environment}")
    show(rows)


def _traffic(release: Recorded) -> dict[str, str]:
    if release.environment != "canary":
        return {}
    until = f", until {release.until:%Y-%m-%d %H:%M:%S} UTC" if release.until else ""
    return {"traffic": f"{release.share:.0%} of the riders, {release.shadow:.0%} as a shadow{until}"}
