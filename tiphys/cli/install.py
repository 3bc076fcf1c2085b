"""`tiphys install`: put this project's templates into an Argo server's namespace."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server, needed, open_server
from tiphys.cli.runs import explained, say
from tiphys.cli.submit import add_release, settled

if TYPE_CHECKING:
    from tiphys.cluster.install import Change

Json = dict[str, Any]
_EXAMPLES = """examples:
  tiphys install --server https://argo.example.org:2746 --token-file token --registry registry.example.org
  tiphys install continuous-training --dry-run        what would change
  tiphys install templates.yaml                       the templates of a file
  tiphys install --print-prerequisites -n tiphys      what must be there first, for kubectl apply
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "install",
        help="put templates into an Argo server's namespace",
        description="Create or update this project's WorkflowTemplates and CronWorkflows on an Argo server. Nothing is "
        "changed unless all of it may be. WorkflowEventBindings are compared: Argo's API cannot change them.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME|FILE.yaml", help="workflows of this project (default: all), or files"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="change nothing; print what would differ, and the images of what is new"
    )
    parser.add_argument(
        "--print-prerequisites",
        action="store_true",
        help="print what a namespace needs first, as YAML, and do nothing else",
    )
    parser.add_argument(
        "--from-stack",
        action="store_true",
        help="with this machine's servers filled in, for pods that reach its loopback",
    )
    add_release(parser)
    add_server(parser)
    parser.set_defaults(func=main)


@explained("install")
def main(args: argparse.Namespace) -> int:
    """Find out what would change; then change it, saying each."""
    from tiphys.cluster.install import BY_HAND, apply, plan
    from tiphys.placement import with_images

    if args.print_prerequisites:
        return _print_prerequisites(args)
    wanted = needed(args)
    found = settled(_documents(args.names), args, wanted.namespace)
    server = open_server(wanted, changes=True)
    changes = plan(server, found)
    for change in changes if args.dry_run else apply(server, changes):
        if change.verb != BY_HAND:
            print(
                f"{change.kind} {change.name} {'would be ' if args.dry_run and change.verb != 'unchanged' else ''}{change.verb}",
                flush=True,
            )
        if args.dry_run and change.before:
            sys.stdout.writelines(difference(change))
        elif args.dry_run:
            sys.stdout.writelines(
                f"  {image}\n" for image in sorted({each["image"] for each in with_images(change.after)})
            )
    return _by_hand([change for change in changes if change.verb == BY_HAND])


def _by_hand(changes: list[Change]) -> int:
    """Hand the bindings that differ to kubectl; 1 if there are any, because they are not as they must be."""
    if not changes:
        return 0
    import yaml

    names = ", ".join(change.name for change in changes)
    say(f"Argo's API cannot change WorkflowEventBindings ({names}). Apply what follows with kubectl:")
    print(yaml.safe_dump_all([change.after for change in changes], sort_keys=False, allow_unicode=True), end="")
    return 1


def difference(change: Change) -> Iterator[str]:
    """What would change, as a unified diff of YAML."""
    before = _lines(change.before) if change.before else []
    return difflib.unified_diff(before, _lines(change.after), f"installed/{change.name}", f"here/{change.name}")


def _lines(document: Json) -> list[str]:
    import yaml

    from tiphys.cluster.install import essence

    text: str = yaml.safe_dump(essence(document), sort_keys=True, allow_unicode=True)
    return text.splitlines(keepends=True)


def rendered() -> dict[str, list[Json]]:
    """The documents of this project's manifests, by the manifest's name."""
    from tiphys.cli.engine_access import project
    from tiphys.cli.manifests import RENDERED
    from tiphys.engine import load_file

    return {path.stem: load_file(path) for path in sorted((project() / RENDERED).glob("*.yaml"))}


def _documents(names: list[str]) -> list[Json]:
    """What to install. Raises ClusterError."""
    from tiphys.cli.manifests import is_file, read_documents
    from tiphys.cluster import ClusterError
    from tiphys.cluster.install import BINDING, KINDS

    own = rendered()
    found: list[Json] = []
    for name in names or own:
        if not is_file(name) and name not in own:
            msg = f"no workflow {name!r} (known: {', '.join(own)}): give one of these names, or a file ending in .yaml"
            raise ClusterError(msg)
        found += own[name] if name in own else read_documents(name)
    for document in found:
        metadata = document.get("metadata") or {}
        if document["kind"] not in (*KINDS, BINDING) or not metadata.get("name"):
            msg = f"{document['kind']} {metadata.get('name', '')!r} can't be installed: {', '.join((*KINDS, BINDING))} can, each with a name"
            raise ClusterError(msg)
    return found


def _print_prerequisites(args: argparse.Namespace) -> int:
    import yaml

    from tiphys.cluster.prerequisites import ARTIFACTS_OWNER, documents
    from tiphys.settings import ArgoSettings, load, stack_settings
    from tiphys.step import contracts

    given = {}
    known = contracts()
    if args.from_stack:
        from tiphys.stack import environment

        given = {name: _for_pods(environment(stack_settings(), known, name)) for name in (*known, ARTIFACTS_OWNER)}
    namespace = args.namespace or load(ArgoSettings).namespace
    print(yaml.safe_dump_all(documents(namespace, known, given), sort_keys=False, allow_unicode=True), end="")
    return 0


def _for_pods(environment: dict[str, str]) -> dict[str, str]:
    """A step's environment without Spark's settings that name folders of this machine: images bring their own."""
    lines = environment.get("TIPHYS_SPARK_CONF", "").splitlines(keepends=True)
    kept = [line for line in lines if not line.partition(" ")[2].lstrip().startswith("/")]
    return {**environment, "TIPHYS_SPARK_CONF": "".join(kept)}
