"""`tiphys parity`: what of a manifest counts here, which workflows end here as on Argo, how two runs differ."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.manifests import is_file
from tiphys.cli.places import add_server
from tiphys.cli.runs import add_colour, explained, in_colour

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from tiphys.engine.parity import Case, Verdict

_EXAMPLES = """examples:
  tiphys parity hello.yaml                         each field: honoured, advisory or refused
  tiphys parity tests/golden/argo                  which workflows end here as on a real Argo
  tiphys parity tests/golden/argo --only 'retry-*'
  tiphys parity my-workflows -o json > parity.json
  tiphys parity diff run-a run-b                   two runs, node by node
  tiphys parity diff run-a cluster.json            what `argo get NAME -o json` printed
  tiphys parity diff run-a there:run-b --server https://argo.example.org:2746
"""
_PAINT = {"as Argo": "Succeeded", "ran": "Succeeded", "deliberate": "Pending", "refused": "Pending"}
_WIDEST = 150


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "parity",
        help="what of a manifest counts here, and whether runs end as on Argo",
        description="FILE: every field of a manifest, whether it is honoured, advisory or refused here, and why; exit code 1 "
        "if one is refused. "
        "FOLDER: run each NAME.yaml with a state folder of its own, and compare with NAME.json: a record of "
        "what Argo did, or the Workflow as `argo get NAME -o json` prints it; without one the phase is shown; exit code 1 if "
        "something differs and is not on the list of deliberate differences, or is out of time. "
        "diff A B: two runs node by node (phases, messages, inputs, outputs, edges); each is a run here, a Workflow with "
        "its status in a file, there:NAME on the server, or a URL SERVER/NAMESPACE/NAME; exit code 1 if they differ.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "what", nargs="+", metavar="FILE|FOLDER|diff A B", help="a manifest, a folder of workflows, or two runs"
    )
    parser.add_argument("--only", default="*", metavar="PATTERN", help="names to take, such as 'retry-*'")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="for one workflow (default: 60)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="workflows at once (default: 1)")
    parser.add_argument(
        "--shared-root",
        action="store_true",
        help="steps write to this machine's own folders, as where a kernel forbids others",
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="what to print")
    parser.add_argument("--all", action="store_true", help="of a manifest also each place of a field")
    add_colour(parser)
    add_server(parser)
    parser.set_defaults(func=main)


@explained("parity")
def main(args: argparse.Namespace) -> int:
    """Look at fields, compare two runs, or run a folder."""
    from tiphys.engine import EngineError

    first, *others = args.what
    if first == "diff" and len(args.what) == 3:  # noqa: PLR2004
        from tiphys.cli.parity_diff import differ

        return differ(args, others[0], others[1])
    if others:
        msg = "give one manifest, one folder, or `diff A B` with two runs"
        raise EngineError(msg)
    if is_file(first) and not Path(first).is_dir():
        from tiphys.cli.parity_fields import show_fields

        return show_fields(args, first)
    return _folder(args, Path(first))


def _folder(args: argparse.Namespace, folder: Path) -> int:
    """Run, compare, print."""
    from tiphys.engine.parity import AS_ARGO, DELIBERATELY, RAN, REFUSED, cases

    found = cases(folder, args.only)
    began = time.monotonic()
    verdicts = sorted(_judged(found, args), key=lambda each: each.case)
    _tell("")
    if args.output == "json":
        import json

        print(json.dumps([each.to_json() for each in verdicts], indent=2, ensure_ascii=False))
    else:
        _print(verdicts, time.monotonic() - began, colour=in_colour(args))
    return 0 if all(each.verdict in (AS_ARGO, DELIBERATELY, RAN, REFUSED) for each in verdicts) else 1


def _judged(found: list[Case], args: argparse.Namespace) -> Iterator[Verdict]:
    """The verdicts, in the order in which they come; each case has a process of its own, which can be ended."""
    from multiprocessing.connection import wait

    waiting, running, count = iter(found), dict[Any, _Running](), 0
    try:
        while True:
            while len(running) < max(1, args.jobs) and (case := next(waiting, None)) is not None:
                started = _Running(case, args)
                running[started.receiver] = started
            if not running:
                return
            until = min(each.deadline for each in running.values())
            ready = wait(list(running), max(0.0, until - time.monotonic()))
            for receiver, each in list(running.items()):
                if receiver in ready or time.monotonic() >= each.deadline:
                    del running[receiver]
                    count += 1
                    verdict = each.finish(came=receiver in ready)
                    _tell(f"{count} of {len(found)}  {verdict.case}: {verdict.verdict}")
                    yield verdict
    finally:
        for each in running.values():
            each.finish(came=False)


def _tell(text: str) -> None:
    """How far it is, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


class _Running:
    """One case in a process of its own."""

    def __init__(self, case: Case, args: argparse.Namespace) -> None:
        import multiprocessing

        context = multiprocessing.get_context("fork")
        self._case = case
        self._seconds = args.seconds
        self.deadline = time.monotonic() + args.seconds
        self._state = tempfile.TemporaryDirectory(prefix="tiphys-parity-", ignore_cleanup_errors=True)
        self.receiver, sender = context.Pipe(duplex=False)
        arguments = (case, Path(self._state.name), args.namespace or "argo", args.shared_root, sender)
        self._process = context.Process(target=_child, args=arguments)
        self._process.start()
        sender.close()

    def finish(self, *, came: bool) -> Verdict:
        """Its verdict, or what stands for one; nothing of it is left."""
        from tiphys.engine.parity import DIFFERENT, LATE, Verdict

        name = self._case.name
        verdict = Verdict(name, LATE, "Running", f"not ended after {self._seconds:.0f} s; --seconds gives more")
        try:
            if came:
                verdict = self.receiver.recv()
        except EOFError:
            self._process.join()
            verdict = Verdict(name, DIFFERENT, "", f"the engine broke off with exit code {self._process.exitcode}")
        self.receiver.close()
        self._process.kill()
        self._process.join()
        self._state.cleanup()
        return verdict


def _child(case: Case, state: Path, namespace: str, shared_root: bool, sender: Connection) -> None:  # noqa: FBT001
    from tiphys.cli.engine_access import open_engine
    from tiphys.engine.errors import EngineError
    from tiphys.engine.parity import DIFFERENT, Verdict, judge

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this process
    engine = open_engine(state, namespace=namespace, private=False if shared_root else None)
    try:
        sender.send(judge(case, engine))
    except EngineError as problem:
        sender.send(Verdict(case.name, DIFFERENT, "", str(problem)))


def _print(verdicts: list[Verdict], seconds: float, *, colour: bool) -> None:
    from tiphys.engine.tree import paint

    width = max(len(each.case) for each in verdicts)
    print(f"{'WORKFLOW':<{width}}  {'VERDICT':<11}  {'PHASE':<9}  DETAIL")
    for each in verdicts:
        detail = " ".join(each.detail.split())
        detail = detail if len(detail) <= _WIDEST else detail[: _WIDEST - 1] + "…"
        verdict = paint(f"{each.verdict:<11}", _PAINT.get(each.verdict, "Failed"), colour)
        print(f"{each.case:<{width}}  {verdict}  {each.phase:<9}  {detail}".rstrip())
    kinds = dict.fromkeys(each.verdict for each in verdicts)
    counts = ", ".join(f"{sum(1 for each in verdicts if each.verdict == kind)} {kind}" for kind in kinds)
    print(f"\n{len(verdicts)} workflows in {seconds:.0f} s: {counts}")
