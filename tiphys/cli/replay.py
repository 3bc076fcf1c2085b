"""`tiphys replay`: one step of a run once more, here, alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import add_server
from tiphys.cli.runs import add_containers, explained, patterns, say

if TYPE_CHECKING:
    from tiphys.cluster import ArgoServer
    from tiphys.engine import Engine
    from tiphys.engine.replay.capsule import Capsule
    from tiphys.engine.replay.find import Found
    from tiphys.engine.replay.prepare import Prepared

_EXAMPLES = """examples:
  tiphys replay @latest                            the step that failed
  tiphys replay continuous-training-x7k2p train
  tiphys replay @latest train -p epochs=1 --env TIPHYS_LOG=debug
  tiphys replay @latest train --debug              pdb where it raised
  tiphys replay @latest train --shell              a shell in the step's place, inputs laid out
  tiphys replay capsule.tgz                        a capsule that someone gave you
  argo get RUN -o json > run.json; tiphys replay run.json STEP
  tiphys replay RUN STEP --server https://argo.example.org:2746
"""
_LIVE, _THEN = "live", "then"
_SHOWN = 20_000  # characters of a program that someone else gave


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "replay",
        help="run one step of a run once more, alone",
        description="Run a step that has ended once more, here, with the inputs, template and ConfigMaps that it had and "
        "the Secrets that are here now. Nothing of its run changes; its outputs go to a folder that is named at the end. "
        "What the step itself does elsewhere it does again. Exit code 0 if it Succeeded, 1 if not.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "run", metavar="RUN|STEP_ID|FILE", help="a run, a step's id, a capsule (.tgz), a Workflow (.json)"
    )
    parser.add_argument(
        "step", metavar="STEP", nargs="?", default="", help="a step's name or id (default: the failed one)"
    )
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="another input")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="another variable")
    parser.add_argument("--artifact", action="append", default=[], metavar="NAME=PATH", help="another input artifact")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument(
        "--debug", dest="terminal", action="store_const", const="debug", help="pdb where the program raises (Python)"
    )
    modes.add_argument(
        "--debugger", dest="terminal", action="store_const", const="debugger", help="the program under pdb (Python)"
    )
    modes.add_argument(
        "--shell", dest="terminal", action="store_const", const="shell", help="a shell in the place of the program"
    )
    parser.add_argument(
        "--with-code",
        default=_LIVE,
        metavar="REVISION",
        help="the code of a git revision; `then` is the one that it ran with (default: the checkout as it is)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would run")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    add_containers(parser, "as in its run")
    add_server(parser, "replay")
    parser.set_defaults(func=main)


@explained("replay")
def main(args: argparse.Namespace) -> int:
    """Replay a step of this machine, or of a file."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.manifests import is_file
    from tiphys.engine.replay.find import of_file, of_run

    engine = open_engine()
    if is_file(args.run) or args.run.endswith(".tgz"):
        return _replay(args, engine, of_file(engine, Path(args.run), args.step))
    return _replay(args, engine, of_run(engine, *_named(engine, args.run, args.step)))


def on_server(args: argparse.Namespace, server: ArgoServer, workflow: dict[str, Any]) -> int:
    """Replay a step of a cluster."""
    import tempfile

    from tiphys.cli.engine_access import open_engine
    from tiphys.cluster.inputs import fetch_inputs, last_log
    from tiphys.engine.replay.find import of_workflow

    engine = open_engine()
    found = of_workflow(engine, workflow, args.step, f"the server {server.access.url}")
    capsule = found.capsule
    capsule.log = last_log(server, capsule.run, capsule.node, capsule.pod)
    with tempfile.TemporaryDirectory(prefix="tiphys-replay-") as folder:
        if not args.dry_run:
            given = {each.partition("=")[0] for each in args.artifact}
            artifacts = (capsule.template.get("inputs") or {}).get("artifacts") or []
            wanted = [each for each in artifacts if each["name"] not in given]
            found.stored = fetch_inputs(server, (capsule.run, capsule.node), wanted, Path(folder), say)
        return _replay(args, engine, found)


def _named(engine: Engine, run: str, step: str) -> tuple[str, str]:
    """The names of run and step; one word may be the id of a step."""
    from tiphys.cli.runs import find_name
    from tiphys.engine.errors import UnknownRunError

    try:
        return find_name(engine, run), step
    except UnknownRunError:
        known = [summary.name for summary in engine.runs() if run.startswith(f"{summary.name}-")]
        if step or not known:
            raise
        return max(known, key=len), run


def _replay(args: argparse.Namespace, engine: Engine, found: Found) -> int:
    from tiphys.engine.replay.compare import comparison
    from tiphys.engine.replay.prepare import Changes, prepare
    from tiphys.engine.replay.rerun import rerun, scratch_folder

    capsule = found.capsule
    artifacts = {name: Path(path) for name, path in _pairs(args.artifact, "--artifact").items()}
    changes = Changes(_pairs(args.parameter, "-p"), _pairs(args.env, "--env"), _there(artifacts), found.stored)
    prepared = prepare(capsule, changes, engine.state)
    _show(capsule, prepared, found)
    if args.dry_run:
        return 0
    if not _agreed(args, found, prepared):
        say("nothing was run")
        return 2
    containers = patterns(args.containers)
    around = engine.surroundings(found.containers if containers is None else containers)
    scratch = scratch_folder(engine.state, capsule.node)
    around = _with_code(args.with_code, around, capsule, scratch)
    say(f"--- {capsule.node_name}")
    try:
        outcome = rerun(prepared, around, scratch, capsule.run, _show_bytes, args.terminal or "")
    except KeyboardInterrupt:
        say(f"interrupted; what there is of it: {scratch}")
        return 130
    say("---")
    _print_outputs(outcome.outputs, scratch)
    if not args.terminal:
        _, lines = comparison(capsule, outcome)
        print("\n".join(lines))
    print(
        f"{'✔' if outcome.phase == 'Succeeded' else '✖'} {outcome.phase}{f': {outcome.message}' if outcome.message else ''}"
    )
    print(f"its files: {scratch}")
    return 0 if outcome.phase == "Succeeded" else 1


def _pairs(words: list[str], flag: str) -> dict[str, str]:
    from tiphys.engine import EngineError

    found = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not name or not separator:
            msg = f"{flag} {word}: write NAME=VALUE"
            raise EngineError(msg)
        found[name] = value
    return found


def _there(artifacts: dict[str, Path]) -> dict[str, Path]:
    from tiphys.engine import EngineError

    for name, path in artifacts.items():
        if not path.exists():
            msg = f"--artifact {name}={path}: there is no such file or folder"
            raise EngineError(msg)
    return artifacts


def _show(capsule: Capsule, prepared: Prepared, found: Found) -> None:
    """What will run, before it does."""
    say(f"{_plain(capsule.node_name)} of run {capsule.run}, from {found.origin}")
    for what, text in _lines(capsule, prepared.shown, found):
        say(f"  {what:<9} {text}")
    for name in prepared.secrets:
        say(f"  secret    {_plain(name)}, as it is on this machine now")
    for note in [*capsule.notes, *(f"not here: {each}" for each in prepared.missing)]:
        say(f"  note      {_plain(note)}")


def _lines(capsule: Capsule, template: dict[str, Any], found: Found) -> Iterator[tuple[str, str]]:
    from tiphys.engine.replay.references import effects

    if phase := _plain(capsule.end.get("phase")):
        message = _plain(capsule.end.get("message"))
        yield "ended", f"{phase}{': ' if message else ''}{message}"
    yield from _programs(template, whole=found.foreign)
    for entry in (template.get("inputs") or {}).get("parameters") or []:
        yield "input", f"{_plain(entry['name'])} = {_plain(entry.get('value'), 200)}"
    for entry in (template.get("inputs") or {}).get("artifacts") or []:
        place = (entry.get("s3") or {}).get("key") or (entry.get("http") or {}).get("url")
        yield (
            "input",
            f"{_plain(entry['name'])} at {_plain(entry.get('path'))}{', from ' if place else ''}{_plain(place)}",
        )
    for image in capsule.images:
        if image.get("revision") or image.get("digest"):
            yield "ran with", f"{_plain(image.get('name'))}: {_plain(image.get('digest') or image.get('revision'))}"
    if effects(template) not in ("", "pure"):
        yield "effects", f"{_plain(effects(template))}: what it does elsewhere it does again"


def _programs(template: dict[str, Any], *, whole: bool) -> Iterator[tuple[str, str]]:
    """What each container runs; `whole` with all that could be hidden in it."""
    from tiphys.engine.field_refs import bodies

    for body in bodies(template):
        yield "image", _plain(body.get("image"))
        words = [*(body.get("command") or []), *(body.get("args") or [])]
        yield "command", _plain(" ".join(map(str, words)), _SHOWN if whole else 500) or "that of the image"
        if whole and body.get("source"):
            yield "script", _plain(body["source"], _SHOWN)
        for entry in (body.get("env") or []) if whole else []:
            yield "variable", f"{_plain(entry.get('name'))} = {_plain(entry.get('value'))}"
    if template.get("http"):
        yield "asks", f"{_plain(template['http'].get('method') or 'GET')} {_plain(template['http'].get('url'))}"


def _plain(value: Any, longest: int = 500) -> str:
    """A text that may come from anyone, without what would steer a terminal."""
    text = "" if value is None else str(value)
    shown = "".join(char if char.isprintable() else ("\\n" if char == "\n" else "?") for char in text[:longest])
    return shown + ("…" if len(text) > longest else "")


def _agreed(args: argparse.Namespace, found: Found, prepared: Prepared) -> bool:
    """Whether it may run: asked about what is not of this machine's own, and about effects beyond the outputs."""
    from tiphys.engine import EngineError
    from tiphys.engine.replay.references import effects

    reasons = []
    if found.foreign:
        reasons.append(f"this is not of this machine's own runs but from {found.origin}")
    if effects(prepared.start.template) not in ("", "pure"):
        reasons.append("the step has effects beyond its outputs")
    if not reasons or args.yes:
        return True
    if not sys.stdin.isatty():
        msg = f"{' and '.join(reasons)}: look at what would run, then give --yes"
        raise EngineError(msg)
    say(f"{' and '.join(reasons)}.")
    print("run it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _with_code(wanted: str, around: Any, capsule: Capsule, scratch: Path) -> Any:
    """The surroundings with the code that is wanted."""
    from dataclasses import replace

    from tiphys.cli.engine_access import project
    from tiphys.engine import EngineError
    from tiphys.engine.replay.code import check_out
    from tiphys.engine.replay.rerun import MovedTable

    if wanted == _LIVE:
        return around
    revision = wanted
    if wanted == _THEN:
        known = [image["revision"] for image in capsule.images if image.get("revision")]
        if not known or known[0] == "unknown":
            msg = "this capsule does not say with which revision it ran: give one, or leave --with-code out"
            raise EngineError(msg)
        revision = known[0].removesuffix("-dirty")
        if known[0].endswith("-dirty"):
            say(f"note: it ran with changes that were in no commit; this is {revision[:12]} without them")
    return replace(
        around, images=MovedTable(around.images, project(), check_out(project(), revision, scratch / "code"))
    )


def _show_bytes(text: bytes) -> None:
    """What the step prints, as it comes."""
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _print_outputs(outputs: dict[str, Any], scratch: Path) -> None:
    for entry in [each for each in outputs.get("parameters") or [] if each.get("value") is not None]:
        print(f"output    {entry['name']} = {_plain(entry.get('value'), 500)}")
    for entry in outputs.get("artifacts") or []:
        print(f"output    {entry['name']}: {scratch / 'artifacts' / entry['s3']['key']}")
