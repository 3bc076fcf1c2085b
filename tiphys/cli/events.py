"""`tiphys events`: what came from outside, what was decided, and what it has started."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import Action, HelpFormatter, add_actions
from tiphys.cli.runs import explained, say

if TYPE_CHECKING:
    from tiphys.engine.events import Event

Json = dict[str, Any]
_EXAMPLES = """examples:
  tiphys events list                     alerts and requests, with the governor's decisions
  tiphys events why e-3f2a91             the story of one: what was counted, decided, and run
  tiphys events list --engine            what came to the engine's event endpoint, and which bindings took it
  tiphys events get 3f2a91               one of those
  tiphys events send new-data -d '{"month": "2019-06"}'
  tiphys events send new-data -d @event.json --id delivery-17    the same id again starts nothing
"""
_SHORT = 12


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "events",
        help="events that were received, what was decided, and what they have started",
        description="Show the alerts and requests that the governor took and what it decided of each; with --engine, events of the "
        "engine's own endpoint and what WorkflowEventBindings made of them, and send one there without HTTP.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    actions: tuple[Action, ...] = (
        ("list", _declare_list, _list),
        ("why", _declare_get, _why),
        ("get", _declare_get, _get),
        ("send", _declare_send, _send),
    )
    add_actions(parser, _EXAMPLES, actions)


def _declare_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", action="store_true", help="those of the engine's event endpoint instead")
    parser.add_argument("--use-case", default="", metavar="NAME", help="only those about it")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="what to print")


def _declare_get(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("event", metavar="ID", help="its id, or how that begins")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="what to print")


def _declare_send(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("discriminator", nargs="?", default="", help="what selectors may ask for (default: nothing)")
    parser.add_argument("-d", "--data", default="null", metavar="JSON|@FILE", help="the payload")
    parser.add_argument("-H", "--header", action="append", default=[], metavar="X-NAME: VALUE", help="metadata")
    parser.add_argument("--id", default="", help="the sender's id: the same again starts nothing")
    parser.add_argument("--namespace", default="default", help="where bindings are asked (default: default)")


@explained("events list")
def _list(args: argparse.Namespace) -> int:
    """The latest events, with what was decided and what they have started."""
    if not args.engine:
        return _list_governed(args)
    from tiphys.cli.engine_access import open_engine
    from tiphys.engine.events import history

    found = history(open_engine().state, args.limit)
    if args.output == "json":
        import json

        print(json.dumps([_json(event) for event in found], indent=2, ensure_ascii=False))
    elif not found:
        print("no events yet: `tiphys events send` makes one")
    else:
        _table(found)
    return 0


def _list_governed(args: argparse.Namespace) -> int:
    from tiphys.cli.governed import table
    from tiphys.cli.surroundings import settings
    from tiphys.settings import GovernorSettings
    from tiphys.watch import governor_client

    found = governor_client.events(settings(GovernorSettings), args.limit, use_case=args.use_case)
    if args.output == "json":
        import json

        print(json.dumps([told.model_dump(mode="json") for told in found], indent=2, ensure_ascii=False))
    elif not found:
        print("no alerts yet, and nobody asked for a training: `tiphys retrain USE_CASE --reason TEXT` does")
    else:
        table(found)
    return 0


def _why(args: argparse.Namespace) -> int:
    """Why an event did, or did not, start a training."""
    from tiphys.cli.governed import story
    from tiphys.cli.surroundings import settings
    from tiphys.settings import GovernorSettings
    from tiphys.watch import governor_client

    told = governor_client.event(settings(GovernorSettings), args.event)
    print(told.model_dump_json(indent=2) if args.output == "json" else "\n".join(story(told)))
    return 0


def _table(found: list[Event]) -> None:
    from tiphys.engine import ages

    headings = ("ID", "AGE", "DISCRIMINATOR", "STATE", "RUNS", "ERRORS")
    now = time.time()
    rows = [headings]
    for event in found:
        runs = [step["run"] for step in event.outcome if "run" in step]
        errors = sum(1 for step in event.outcome if "error" in step)
        state = "delivered" if event.done else "waiting"
        age = ages.short(now - event.received)
        rows.append((event.id[:_SHORT], age, event.discriminator, state, ", ".join(runs), str(errors) * bool(errors)))
    widths = [max(len(row[column]) for row in rows) + 3 for column in range(len(headings))]
    for row in rows:
        print("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@explained("events get")
def _get(args: argparse.Namespace) -> int:
    """One event of the engine's endpoint: its payload, and what each binding made of it."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.engine.errors import EngineError
    from tiphys.engine.events import history

    found = [event for event in history(open_engine().state, -1) if event.id.startswith(args.event)]
    if len(found) != 1:
        known = "no event has that id" if not found else f"{len(found)} events have ids that begin so"
        msg = f"{args.event!r}: {known}: `tiphys events list --engine` shows the latest"
        raise EngineError(msg)
    if args.output == "json":
        import json

        print(json.dumps(_json(found[0]), indent=2, ensure_ascii=False))
    else:
        _show(found[0])
    return 0


def _show(event: Event) -> None:
    from tiphys.engine import ages

    now = time.time()
    for title, value in (
        ("Id:", event.id),
        ("Sender's id:", event.sender_id),
        ("Namespace:", event.namespace),
        ("Discriminator:", event.discriminator),
        ("Received:", ages.timestamp(event.received, now)),
        ("Delivered:", ages.timestamp(event.done, now) if event.done else "not yet"),
        *((f"{name}:", ", ".join(values)) for name, values in event.metadata.items()),
        ("Payload:", event.payload),
    ):
        if value:
            print(f"{title:<20} {value}")
    for step in event.outcome:
        made = step.get("error") or f"started {step['run']}" if "run" in step or "error" in step else "matched"
        print(f"{'✖' if 'error' in step else '✔'} {step['binding']}: {made}")


def _json(event: Event) -> Json:
    """One event for a program; times in seconds since the epoch, 0 for what is not yet."""
    import dataclasses

    return {key: value for key, value in dataclasses.asdict(event).items() if key != "plan"}


@explained("events send")
def _send(args: argparse.Namespace) -> int:
    """Send the engine an event, as a post to /api/v1/events/NAMESPACE/DISCRIMINATOR does."""
    import json
    from pathlib import Path

    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.kept import warn_if_nobody_serves
    from tiphys.engine.errors import EventRefusedError
    from tiphys.engine.events import accept, from_headers

    try:
        data = Path(args.data[1:]).read_text() if args.data.startswith("@") else args.data
        payload = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        msg = f"-d {args.data[:60]!r} is no JSON ({error}): write '{{...}}' or @FILE"
        raise EventRefusedError(msg) from None
    pairs = [header.partition(":") for header in args.header]
    metadata, sender_id = from_headers((name.strip(), value.strip()) for name, _, value in pairs)
    engine = open_engine()
    made = accept(engine, args.namespace, args.discriminator, payload, metadata, args.id or sender_id)
    print(made)
    say(f"see what it has started: tiphys events get {made[:_SHORT]}")
    warn_if_nobody_serves(engine)
    return 0
