"""`tiphys submit`: run a workflow on an Argo server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server, flags, needed, open_server
from tiphys.cli.runs import add_colour, explained, say

if TYPE_CHECKING:
    from tiphys.cluster import ArgoServer

Json = dict[str, Any]
_EXAMPLES = """examples:
  tiphys submit continuous-training -p source=s3://landing/DIGEST/ --server https://argo.example.org:2746 \\
      --token-file token --wait
  tiphys submit hello.yaml -p message=ahoy --server http://127.0.0.1:2746
  tiphys submit pipeline.yaml --registry registry.example.org --tag 0.2.0 --dry-run
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "submit",
        help="run a workflow on an Argo server",
        description="Submit a workflow to an Argo server: one that `tiphys install` put there, or a manifest. "
        "With --wait the exit code is 0 only if it Succeeded; 2 if it was refused.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "workflow", metavar="NAME|FILE.yaml", help="an installed WorkflowTemplate, or a manifest (- is standard input)"
    )
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="K=V", help="set a parameter")
    parser.add_argument("--parameter-file", type=Path, metavar="FILE", help="YAML or JSON with names and values")
    parser.add_argument(
        "--upload",
        action="append",
        default=[],
        metavar="K=FOLDER",
        help="upload to the S3 server of TIPHYS_S3_*, set K to its place",
    )
    parser.add_argument("--name", default="", help="the run's name (default: from the manifest)")
    parser.add_argument("--generate-name", default="", metavar="PREFIX", help="what the run's name begins with")
    parser.add_argument("-l", "--labels", default="", metavar="K=V,...", help="labels of the run")
    parser.add_argument("--wait", "--watch", action="store_true", help="show the run until it has ended")
    parser.add_argument("--dry-run", action="store_true", help="only ask the cluster whether it would take it")
    parser.add_argument("-o", "--output", choices=("tree", "name", "json"), default="tree", help="what to print")
    add_release(parser)
    add_colour(parser)
    add_server(parser)
    parser.set_defaults(func=main)


def add_release(parser: Any) -> None:
    """Declare where the cluster finds our images."""
    parser.add_argument("--registry", default="", metavar="HOST[/PATH]", help="registry of the images tiphys/NAME")
    parser.add_argument("--tag", default="", help="their tag (default: as the manifest says)")


def settled(documents: list[Json], args: argparse.Namespace, namespace: str) -> list[Json]:
    """The documents for one place. Raises ClusterError for a registry, tag or namespace that can be none."""
    from tiphys.cluster import ClusterError
    from tiphys.errors import PermanentError
    from tiphys.placement import settle

    try:
        return settle(documents, registry=args.registry, tag=args.tag, namespace=namespace)
    except PermanentError as error:
        raise ClusterError(str(error)) from None


@explained("submit")
def main(args: argparse.Namespace) -> int:
    """Submit, then say how to look at the run, or show it."""
    from tiphys.cli.manifests import parse_parameters
    from tiphys.cli.upload import upload_from_settings

    parameters = parse_parameters(args.parameter, args.parameter_file)
    wanted = needed(args)
    settled([], args, wanted.namespace)  # a registry that can be none is refused before the server is asked
    server = open_server(wanted, changes=True)
    workflow, declared = _workflow(args, server)
    _check(parameters, declared)
    workflow = settled([workflow], args, server.namespace)[0]
    _set(workflow, {**parameters, **upload_from_settings(args.upload)})
    made = server.create(workflow, dry=args.dry_run)
    name = made["metadata"].get("name") or made["metadata"].get("generateName")
    if args.dry_run:
        say(f"{name} would run in namespace {server.namespace}")
        return 0
    return _submitted(args, server, made)


def _submitted(args: argparse.Namespace, server: ArgoServer, made: Json) -> int:
    name = made["metadata"]["name"]
    if args.output == "json":
        import json

        print(json.dumps(made, indent=2, ensure_ascii=False))
    elif args.output == "name" or not args.wait:
        print(name)
    if not args.wait:
        say(f"watch it: tiphys watch {name}{flags(args)}")
        return 0
    from tiphys.cli.there import wait

    return wait(args, server, name)


def _workflow(args: argparse.Namespace, server: ArgoServer) -> tuple[Json, list[Json]]:
    """The Workflow to create, as the command line wants it, and the parameters that it takes."""
    from tiphys.cli.manifests import Overrides, Submission, is_file, overridden, single

    if is_file(args.workflow):
        submission = single(args.workflow)
        spec = submission.documents[0].get("spec") or {}
        declared = _parameters_of(spec)
        if template := (spec.get("workflowTemplateRef") or {}).get("name"):
            declared += _parameters_of(server.template("WorkflowTemplate", template)["spec"])
    else:
        declared = _parameters_of(_installed(server, args.workflow)["spec"])
        submission = Submission([], args.workflow)
    workflow = overridden(submission, Overrides("", args.generate_name, args.labels), always=True).documents[0]
    if args.name:
        workflow = {**workflow, "metadata": {**(workflow.get("metadata") or {}), "name": args.name}}
    return workflow, declared


def _parameters_of(spec: Json) -> list[Json]:
    return list((spec.get("arguments") or {}).get("parameters") or [])


def _check(parameters: dict[str, str], declared: list[Json]) -> None:
    """Argo takes any value for a template's parameter. Raises ClusterError for one that is not among its choices."""
    from tiphys.cluster import ClusterError

    known = {each["name"]: each for each in declared}
    for name, value in parameters.items():
        if name not in known:
            say(f"note: parameter {name!r} is not among the manifest's arguments: is it spelled right?")
        elif (choices := known[name].get("enum")) and value not in choices:
            msg = f"-p {name}={value}: give one of {', '.join(choices)}"
            raise ClusterError(msg)


def _installed(server: ArgoServer, name: str) -> Json:
    """The installed WorkflowTemplate. Say if what is installed is not what stands here. Raises NotThereError where nothing is."""
    from tiphys.cli.install import rendered
    from tiphys.cluster.errors import NotThereError
    from tiphys.cluster.install import same_but_place

    try:
        live = server.template("WorkflowTemplate", name)
    except NotThereError:
        here = sorted(rendered())
        remedy = (
            f"`tiphys install {name}` puts it there"
            if name in here
            else f"known here: {', '.join(here)}; a file ends in .yaml"
        )
        msg = f"namespace {server.namespace} of {server.access.url} has no WorkflowTemplate {name!r}: {remedy}"
        raise NotThereError(msg) from None
    own = [
        each
        for each in rendered().get(name, [])
        if each["kind"] == "WorkflowTemplate" and each["metadata"]["name"] == name
    ]
    if own and not same_but_place(server, live, own[0]):
        say(f"note: {name} as installed there differs from the one here: `tiphys install {name} --dry-run` shows how")
    return live


def _set(workflow: Json, parameters: dict[str, str]) -> None:
    """Put the parameters among the Workflow's arguments."""
    if not parameters:
        return
    arguments = workflow["spec"].setdefault("arguments", {})
    given = {each["name"]: each for each in arguments.get("parameters") or []}
    given |= {name: {**given.get(name, {"name": name}), "value": value} for name, value in parameters.items()}
    arguments["parameters"] = list(given.values())
