"""`tiphys run`: run a workflow here, to its end."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.runs import add_colour, add_containers, explained, in_colour, patterns, say

if TYPE_CHECKING:
    from tiphys.cli.manifests import Submission
    from tiphys.engine import Engine, RunState
    from tiphys.engine.driver import Listener

_EXAMPLES = """examples:
  tiphys run hello-world.yaml
  tiphys run templates.yaml workflow.yaml -p message=ahoy
  helm template chart | tiphys run - --name first
  tiphys run hello-world.yaml -o json > run.json     the Workflow in Argo's JSON
  tiphys run hello-world.yaml --dry-run              check only
  tiphys run continuous-training --upload source=FOLDER -p promote=false
  tiphys run continuous-training --upload source=FOLDER --containers 'tiphys/ingest:*,tiphys/load-test:*'
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "run",
        help="run a workflow here, to its end",
        description="Run a workflow here, to its end. What else the files hold (templates, ConfigMaps, Secrets, CronWorkflows, event bindings) is installed first. "
        "Exit code 0 only if it Succeeded, 2 if it was refused.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "workflow",
        nargs="+",
        metavar="NAME|FILE.yaml",
        help="manifests (- is standard input), or one workflow of this project, or an installed WorkflowTemplate",
    )
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="K=V", help="set a parameter")
    parser.add_argument("--parameter-file", type=Path, metavar="FILE", help="YAML or JSON with names and values")
    parser.add_argument("--upload", action="append", default=[], metavar="K=FOLDER", help="upload, set K to its place")
    parser.add_argument("--entrypoint", default="", metavar="TEMPLATE", help="start with this template")
    parser.add_argument("--name", default="", help="the run's name (default: from the manifest)")
    parser.add_argument("--generate-name", default="", metavar="PREFIX", help="what the run's name begins with")
    parser.add_argument("-l", "--labels", default="", metavar="K=V,...", help="labels of the run")
    parser.add_argument("--fresh", action="store_true", help="do not go on with an interrupted run of the same")
    cached = parser.add_mutually_exclusive_group()
    cached.add_argument("--no-cache", action="store_true", help="run every step, also those whose result is kept")
    cached.add_argument(
        "--audit-cache",
        type=float,
        metavar="SHARE",
        help="run this share of the steps whose result is kept again, 0 to 1, and compare (default: TIPHYS_CACHE)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only check whether it would run")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write what happened as JSON")
    parser.add_argument("-o", "--output", choices=("tree", "json"), default="tree", help="what to print")
    add_containers(parser, "TIPHYS_CONTAINERS; steps are processes where that is empty")
    add_colour(parser)
    parser.set_defaults(func=main)


@explained("run")
def main(args: argparse.Namespace) -> int:
    """Submit, or go on with an interrupted run; then drive it to its end. Several Workflows: one after the other."""
    from tiphys.cache.mode import asked_for
    from tiphys.cli.engine_access import open_engine, project
    from tiphys.cli.manifests import Overrides, overridden, submissions
    from tiphys.engine import ManifestError

    if args.summary is not None and not args.summary.absolute().parent.is_dir():
        msg = f"--summary {args.summary}: the folder {args.summary.absolute().parent} is not there: make it first"
        raise ManifestError(msg)
    engine = open_engine(containers=patterns(args.containers))
    found = submissions(args.workflow, project(), engine)
    if len(found) > 1 and (args.name or args.summary):
        msg = f"--name and --summary are for one Workflow, and these files hold {len(found)}: give one file at a time"
        raise ManifestError(msg)
    overrides = Overrides(args.entrypoint, args.generate_name, args.labels, asked_for(args))
    worst = 0
    for each in found:
        worst = max(worst, _one(engine, overridden(each, overrides) if each.runs else each, args))
    return worst


def _one(engine: Engine, submission: Submission, args: argparse.Namespace) -> int:
    from tiphys.cli.manifests import parse_parameters
    from tiphys.cli.upload import upload

    if not submission.runs:
        from tiphys.cli.kept import install

        install(engine, submission.documents, dry=args.dry_run)
        return 0
    documents, template = submission.documents, submission.template
    with contextlib.redirect_stdout(sys.stderr if args.output == "json" else sys.stdout):
        parameters = {**parse_parameters(args.parameter, args.parameter_file), **upload(engine, args.upload)}
    if args.dry_run:
        workflow, _, notes = engine.check(documents, template=template, parameters=parameters)
        metadata = workflow.get("metadata") or {}
        say(f"{metadata.get('name') or metadata.get('generateName')} would run")
        for note in notes:
            say(f"note: {note}")
        return 0
    served = engine.served()
    engine.refuse_if_served_elsewhere()
    if not served:
        engine.refuse_if_held()
    elif _is_older_than_its_code(engine):
        say(
            "note: the engine that serves began before its code was changed: `tiphys down && tiphys up` takes the new one"
        )
    interrupted = None if args.fresh else engine.unfinished(documents, template, parameters, args.name)
    if interrupted:
        why = "goes on already" if served else "was interrupted"
        say(f"going on with {interrupted}, which {why} (--fresh starts a new run)")
    name = interrupted or engine.submit(documents, template=template, parameters=parameters, name=args.name)
    return drive(engine, name, args.output, args.summary, colour=in_colour(args))


def drive(engine: Engine, name: str, output: str = "tree", summary: Path | None = None, *, colour: bool = False) -> int:
    """Run `name` to its end, showing it; the exit code."""
    from tiphys.engine.engine import ignore

    notes = engine.notes(name)
    listener: Listener = ignore
    if output == "tree":
        from tiphys.engine.tree import LiveTree

        listener = LiveTree(colour=colour)
        for note in notes:
            print(f"note: {note}")
    run = to_the_end(engine, name, listener)
    if not run.done:
        say(f"{name} has not ended: `tiphys watch {name}` shows it; it goes on whenever an engine runs (`tiphys up`)")
        return 130
    if summary is not None:
        from tiphys.engine.summary import write_summary

        write_summary(run, summary, notes)
    _show_end(engine, run, output, colour=colour)
    return 0 if run.phase == "Succeeded" else 1


def to_the_end(engine: Engine, name: str, listener: Listener) -> RunState:
    """Let the live engine drive `name`, or drive it here; not done if the engine went away or nobody wants to wait."""
    if engine.served():
        from tiphys.cli.following import attend

        return attend(engine, name, listener, _explain_request)
    return engine.run(name, listener, command=" ".join(sys.argv[:3]), on_interrupt=_explain_interrupt)


def _is_older_than_its_code(engine: Engine) -> bool:
    """Whether a file of the engine is newer than the process that drives runs."""
    from tiphys import engine as package
    from tiphys.engine.lock import held_since

    began = held_since(engine.state)
    return any(path.stat().st_mtime > began for path in Path(package.__path__[0]).rglob("*.py"))


def _explain_interrupt(count: int) -> None:
    say(
        {
            1: "stopping: running steps get SIGTERM, exit handlers still run (Ctrl-C again terminates)",
            2: "terminating: no exit handlers (Ctrl-C again kills at once)",
        }.get(count, "killing everything")
    )


def _explain_request(count: int) -> None:
    say(
        {
            1: "asked it to stop: running steps get SIGTERM, exit handlers still run (Ctrl-C again terminates)",
            2: "asked it to terminate: no exit handlers (Ctrl-C again waits no longer)",
        }.get(count, "no longer waiting")
    )


def _show_end(engine: Engine, run: RunState, output: str, *, colour: bool) -> None:
    if output == "json":
        import json

        from tiphys.engine.argo_shape import workflow_json

        print(json.dumps(workflow_json(run), indent=2, ensure_ascii=False))
        return
    from tiphys.cli.afterword import afterword
    from tiphys.engine.tree import report
    from tiphys.settings import stack_settings

    logs = {node_id: engine.log_path(run.name, node_id) for node_id in run.nodes}
    print("\n".join(report(run, logs, colour=colour)))
    for line in afterword(engine, run, stack_settings().home):
        print(line)
