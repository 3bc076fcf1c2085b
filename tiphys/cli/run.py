"""`tiphys run`: run a workflow here, to its end."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiphys.engine import Engine, RunState

_EXAMPLES = """examples:
  tiphys run hello-world.yaml
  tiphys run continuous-training --upload source=FOLDER -p promote=false
  tiphys run ingest --parameter-file ingest.yaml --summary summary.json
"""
RENDERED = Path("workflows") / "rendered"


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "run",
        help="run a workflow here, to its end",
        description="Run a workflow here, to its end. Exit code 0 only if it Succeeded.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workflow", metavar="NAME|FILE.yaml", help="a workflow of this project, or a manifest")
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="K=V", help="set a parameter")
    parser.add_argument(
        "--upload",
        action="append",
        default=[],
        metavar="K=FOLDER",
        help="upload a folder, set the parameter to its place",
    )
    parser.add_argument("--parameter-file", type=Path, metavar="FILE", help="YAML or JSON with names and values")
    parser.add_argument("--name", default="", help="the run's name (default: from the manifest)")
    parser.add_argument("--fresh", action="store_true", help="do not go on with an interrupted run of the same")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write what happened as JSON")
    parser.add_argument("-o", "--output", choices=("tree", "json"), default="tree", help="what to print")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Submit, or go on with an interrupted run; then drive it to its end."""
    from tiphys.cli.engine_access import open_engine, project
    from tiphys.cli.upload import upload
    from tiphys.engine import EngineError

    engine = open_engine()
    try:
        documents, template = manifest(args.workflow, project())
        parameters = {**parse_parameters(args.parameter, args.parameter_file), **upload(engine, args.upload)}
        interrupted = None if args.fresh else engine.unfinished(documents, template, parameters)
        if interrupted:
            say(f"going on with {interrupted}, which was interrupted (--fresh starts a new run)")
        name = interrupted or engine.submit(documents, template=template, parameters=parameters, name=args.name)
        return drive(engine, name, args.output, args.summary)
    except EngineError as error:
        say(f"tiphys run: {error}")
        return 2


def manifest(workflow: str, project: Path) -> tuple[list[dict[str, Any]], str]:
    """The documents of a file, or of a rendered workflow and its name. Raises ManifestError."""
    from tiphys.engine import ManifestError, load_file

    path = Path(workflow)
    if path.suffix in (".yaml", ".yml", ".json") or path.is_file():
        return load_file(path), ""
    rendered = project / RENDERED / f"{workflow}.yaml"
    if not rendered.is_file():
        known = ", ".join(sorted(file.stem for file in rendered.parent.glob("*.yaml"))) or "none rendered yet"
        msg = f"no workflow {workflow!r} (known: {known}): give one of these names, or a file ending in .yaml"
        raise ManifestError(msg)
    documents = load_file(rendered)
    names = [document["metadata"].get("name") for document in documents if document["kind"] == "WorkflowTemplate"]
    return documents, workflow if workflow in names else ""


def parse_parameters(pairs: list[str], file: Path | None) -> dict[str, str]:
    """Parameters of the file, then of the command line. Raises ManifestError."""
    from tiphys.engine import ManifestError, load_parameters

    values = load_parameters(file) if file else {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            msg = f"-p {pair}: write NAME=VALUE"
            raise ManifestError(msg)
        if "{{" in value:
            msg = f"-p {name}: the value holds '{{{{', which would be filled in once more: leave it out"
            raise ManifestError(msg)
        values[name] = value
    return values


def drive(engine: Engine, name: str, output: str = "tree", summary: Path | None = None) -> int:
    """Run `name` to its end, showing it; the exit code."""
    from tiphys.engine.engine import ignore
    from tiphys.engine.summary import write_summary
    from tiphys.engine.tree import LiveTree

    notes = engine.notes(name)
    if output == "tree":
        for note in notes:
            print(f"note: {note}")
    listener = LiveTree() if output == "tree" else ignore
    command = " ".join(sys.argv[:3])
    run = engine.run(name, listener, command=command, on_interrupt=_explain_interrupt)
    if summary is not None:
        write_summary(run, summary, notes)
    _show_end(engine, run, output, notes)
    return 0 if run.phase == "Succeeded" else 1


def _explain_interrupt(count: int) -> None:
    say(
        {
            1: "stopping: running steps get SIGTERM, exit handlers still run (Ctrl-C again terminates)",
            2: "terminating: no exit handlers (Ctrl-C again kills at once)",
        }.get(count, "killing everything")
    )


def _show_end(engine: Engine, run: RunState, output: str, notes: list[str]) -> None:
    from tiphys.cli.afterword import afterword
    from tiphys.engine.summary import summary
    from tiphys.engine.tree import report
    from tiphys.settings import stack_settings

    if output == "json":
        print(json.dumps(summary(run, notes), indent=2, ensure_ascii=False))
        return
    logs = {node_id: engine.log_path(run.name, node_id) for node_id in run.nodes}
    print("\n".join(report(run, logs, colour=sys.stdout.isatty())))
    for line in afterword(engine, run, stack_settings().home):
        print(line)


def say(text: str) -> None:
    """One line for a person, beside the output."""
    print(text, file=sys.stderr, flush=True)
