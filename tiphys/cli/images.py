"""``tiphys images``: build the images of the steps and services, push them, list them, show what they hold, audit them."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter

if TYPE_CHECKING:
    from tiphys.images.audit.finding import Finding
    from tiphys.images.build import Built
    from tiphys.images.builders import Builder

_EXAMPLES = """examples:
  tiphys images build                        all, from the Debian that images/debian/Dockerfile names
  tiphys images build --base bootstrap       from a Debian 12 made here: no registry of images is needed
  tiphys images build light                  those without Spark, torch and Triton
  tiphys images build ingest load_test       these, and what they need
  tiphys images build --torch cpu train      with PyTorch's CPU build, or not at all
  tiphys images push registry.example.org    all that a cluster pulls, as registry.example.org/tiphys/NAME:TAG
  tiphys images list                         what is here, with sizes
  tiphys images sbom ingest                  what is in an image, as CycloneDX JSON
  tiphys images audit                        pins, known vulnerabilities, and every image that is here
  tiphys images audit --offline              the same without what only a service on the network can tell

Layers of earlier builds stay, for the next to be quick: 'buildah rmi --prune', 'docker builder prune' or 'podman image prune'
gives the disk back.
"""


def add_parser(subparsers: Any) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "images",
        help="build and list the images of steps and services",
        description="Build one image a step and a service, with docker, podman or buildah.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for name, declare, function in (
        ("build", _declare_build, _build),
        ("push", _declare_push, _push),
        ("list", _declare_names, _list),
        ("sbom", _declare_one, _sbom),
        ("audit", _declare_audit, _audit),
    ):
        text = (function.__doc__ or "").splitlines()[0]
        action = actions.add_parser(name, help=text, description=text, epilog=_EXAMPLES, formatter_class=HelpFormatter)
        action.add_argument(
            "--builder", default="", help="docker, podman or buildah; the first that works when not given"
        )
        action.add_argument("--prefix", default="", help="what stands before images' names (default: localhost/tiphys)")
        declare(action)
        action.set_defaults(func=function)


def _declare_build(parser: argparse.ArgumentParser) -> None:
    _declare_names(parser)
    parser.add_argument("--base", default="", help="any image of Debian 12, or bootstrap to make one here")
    parser.add_argument(
        "--torch", choices=["auto", "cpu", "cuda"], help="PyTorch's build; auto: CPU if it can be reached"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="use nothing that was built before: takes Debian's updates in"
    )


def _declare_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="images, as folders of images/; light, or all (default)"
    )


def _declare_push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "registry",
        metavar="REGISTRY",
        help="where to: HOST[:PORT][/PATH]; without TLS if TIPHYS_REGISTRY_PLAIN_HTTP names it",
    )
    _declare_names(parser)
    parser.add_argument("--tag", default="", help="their tag there (default: the release's)")


def _declare_one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="one image")


def _declare_audit(parser: argparse.ArgumentParser) -> None:
    _declare_names(parser)
    parser.add_argument("--offline", action="store_true", help="don't ask for known vulnerabilities")


def _build(arguments: argparse.Namespace) -> int:
    """Build images, those that they need first; what has not changed is not built again."""
    import dataclasses

    from tiphys.images.build import Plan, build
    from tiphys.images.recipes import chosen, recipes
    from tiphys.settings import ImageSettings, load, stack_settings

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the builder has to end with us
    settings = load(ImageSettings)
    settings = dataclasses.replace(settings, torch=arguments.torch or settings.torch)
    wanted = chosen(arguments.names, recipes())
    builder = _builder(arguments)
    logs = stack_settings().home / "logs" / "images"
    base = arguments.base or settings.base
    plan = Plan(builder, settings, logs, _say, base, arguments.fresh)
    _say(f"{len(wanted)} images with {builder.kind}: {', '.join(each.name for each in wanted)}")
    built = []
    for each in build(plan, wanted):
        built.append(each)
        _say(_line(each))
    _table(builder, [each.tag for each in built])
    return 0


def _push(arguments: argparse.Namespace) -> int:
    """Push the images that a cluster pulls to a registry; log in with the builder first if it wants that."""
    from tiphys import __version__
    from tiphys.images.push import push
    from tiphys.images.recipes import HIDDEN, chosen, recipes
    from tiphys.settings import RegistrySettings, load, stack_settings

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the builder has to end with us
    wanted = [each for each in chosen(arguments.names, recipes()) if each.name not in HIDDEN]
    logs, builder, tag = stack_settings().home / "logs" / "images", _builder(arguments), arguments.tag or __version__
    _say(f"{len(wanted)} images with {builder.kind} to {arguments.registry}; what others are only made from stays here")
    for each in push(builder, wanted, arguments.registry, tag, logs=logs, settings=load(RegistrySettings)):
        _say(f"{_coloured('✔', '32')} {each.target} pushed in {each.seconds:.1f} s")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    """List the images that are here, with their sizes."""
    from tiphys import __version__
    from tiphys.images.recipes import chosen, recipes

    builder = _builder(arguments)
    names = chosen(arguments.names, recipes()) if arguments.names else recipes().values()
    tags = [f"{builder.prefix}/{each.name}:{__version__}" for each in names]
    _table(builder, [each for each in tags if builder.image_id(each)])
    return 0


def _sbom(arguments: argparse.Namespace) -> int:
    """Print what an image holds, as CycloneDX JSON."""
    from tiphys.images.content import sbom
    from tiphys.images.recipes import chosen, recipes

    recipe = chosen([arguments.name], recipes())[-1]
    print(sbom(_builder(arguments), recipe.name), end="")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    """Check pins, known vulnerabilities, and the images that are here; exit 1 if anything is wrong or couldn't be told."""
    from tiphys.images.audit.pins import pins
    from tiphys.images.audit.vulnerabilities import vulnerabilities
    from tiphys.settings import PROJECT

    found = pins(PROJECT)
    if not arguments.offline:
        found += vulnerabilities(PROJECT)
    found += _audit_images(arguments)
    signs = {"good": ("ok", "32"), "bad": ("BAD", "31"), "not checked": ("NOT CHECKED", "33")}
    for each in found:
        sign, colour = signs[each.verdict]
        print(f"{_coloured(f'{sign:<11}', colour)} {each.subject}: {each.text}")
    wrong = [each for each in found if each.verdict != "good"]
    print(f"{len(found) - len(wrong)} checks are good, {len(wrong)} are not")
    return 1 if wrong else 0


def _audit_images(arguments: argparse.Namespace) -> list[Finding]:
    """Look into every image that is here; a machine that can't build has none."""
    import dataclasses

    from tiphys import __version__
    from tiphys.images.audit.content import content
    from tiphys.images.builders import NoBuilderError, builder
    from tiphys.images.recipes import HIDDEN, chosen, recipes
    from tiphys.settings import LENT_TO_BUILDS, surroundings

    try:
        own = dataclasses.replace(builder(arguments.builder), names_start=arguments.prefix)
    except NoBuilderError:
        return []
    names = [each for each in chosen(arguments.names, recipes()) if each.name not in HIDDEN]
    tags = [f"{own.prefix}/{each.name}:{__version__}" for each in names]
    lent = frozenset(value for name, value in surroundings(*LENT_TO_BUILDS).items() if "INDEX" in name)
    return [finding for tag in tags if own.image_id(tag) for finding in content(own, tag, lent)]


def _builder(arguments: argparse.Namespace) -> Builder:
    import dataclasses

    from tiphys.images.tools import find_builder
    from tiphys.settings import ImageSettings, load

    found = find_builder(arguments.builder or load(ImageSettings).builder)
    return dataclasses.replace(found, names_start=arguments.prefix)


def _line(built: Built) -> str:
    sign = "✔" if built.changed else "="
    text = f"{sign} {built.recipe.name:<18}{'built' if built.changed else 'unchanged'} in {built.seconds:.1f} s"
    return _coloured(text, "32" if built.changed else "2")


def _table(builder: Builder, tags: list[str]) -> None:
    """Sizes: all that is unpacked of an image, and what of it no other image in the table has."""
    layers = {tag: builder.layers(tag) for tag in tags}
    if not layers:
        _say("no image of this release is here: 'tiphys images build' builds them")
        return
    width = max(len(tag) for tag in tags)
    print(f"{'image':<{width}}  {'unpacked':>9}  {'its own':>9}")
    for tag, each in layers.items():
        others = {digest for other, those in layers.items() if other != tag for digest in those}
        own = sum(size for digest, size in each.items() if digest not in others)
        print(f"{tag:<{width}}  {sum(each.values()) / 1e6:>6.0f} MB  {own / 1e6:>6.0f} MB")
    once = {digest: size for each in layers.values() for digest, size in each.items()}
    print(f"{'on disk, what is shared counted once':<{width}}  {sum(once.values()) / 1e6:>6.0f} MB")


def _coloured(text: str, code: str) -> str:
    from tiphys.settings import TerminalSettings, load

    plain = not sys.stdout.isatty() or load(TerminalSettings).no_color
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"


def _say(text: str) -> None:
    print(text, flush=True)
