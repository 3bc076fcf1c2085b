"""`tiphys cron`: CronWorkflows, as `argo cron` shows and changes them."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import Action, HelpFormatter, add_actions
from tiphys.cli.runs import explained

if TYPE_CHECKING:
    from tiphys.engine import Engine

Json = dict[str, Any]
_EXAMPLES = """examples:
  tiphys cron create nightly.yaml
  tiphys cron list
  tiphys cron get nightly -o yaml
  tiphys cron suspend nightly && tiphys cron resume nightly
  tiphys cron delete nightly
"""
_KIND = "CronWorkflow"
_WIDTH = 30


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "cron",
        help="workflows that start by the clock",
        description="Show and change CronWorkflows. An engine starts their runs while it is up (`tiphys up`, `tiphys serve`).",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    actions: tuple[Action, ...] = (
        ("list", _declare_list, _list),
        ("get", _declare_get, _get),
        ("create", _declare_files, _create),
        ("suspend", _declare_names, _suspend),
        ("resume", _declare_names, _resume),
        ("delete", _declare_delete, _delete),
    )
    add_actions(parser, _EXAMPLES, actions)


def _declare_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=("wide", "name", "json"), default="wide", help="what to print")


def _declare_get(parser: argparse.ArgumentParser) -> None:
    _declare_names(parser)
    parser.add_argument(
        "-o", "--output", choices=("wide", "name", "json", "yaml"), default="wide", help="what to print"
    )


def _declare_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="its name; `tiphys cron list` shows all")


def _declare_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="manifests (- is standard input)")


def _declare_delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="its name; `tiphys cron list` shows all")
    parser.add_argument("--all", action="store_true", help="every one")


@explained("cron list")
def _list(args: argparse.Namespace) -> int:
    """All of them, with their last and next run."""
    from tiphys.cli.engine_access import open_engine

    found = open_engine().objects.every(_KIND)
    if args.output == "json":
        import json

        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif args.output == "name":
        for cron in found:
            print(cron["metadata"]["name"])
    elif not found:
        print("no CronWorkflows yet: `tiphys cron create FILE` makes one")
    else:
        _table(found)
    return 0


def _table(found: list[Json]) -> None:
    headings = ("NAME", "AGE", "LAST RUN", "NEXT RUN", "SCHEDULES", "TIMEZONE", "SUSPENDED")
    rows = [headings, *(_row(cron, time.time()) for cron in found)]
    widths = [max(len(row[column]) for row in rows) + 3 for column in range(len(headings))]
    for row in rows:
        print("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(cron: Json, now: float) -> tuple[str, ...]:
    from tiphys.engine import ages
    from tiphys.engine.schedules.cron_workflow import moment_from, next_moment
    from tiphys.engine.schedules.crontab import ScheduleError

    metadata, spec = cron["metadata"], cron.get("spec") or {}
    created = moment_from(metadata.get("creationTimestamp"))
    last = moment_from((cron.get("status") or {}).get("lastScheduledTime"))
    try:
        following = next_moment(cron, now)
    except ScheduleError:
        following = None
    return (
        metadata["name"],
        "N/A" if created is None else ages.short(now - created),
        "N/A" if last is None else ages.short(now - last),
        "N/A" if following is None else ages.short(following - now),
        ",".join(map(str, spec.get("schedules") or [])),
        spec.get("timezone") or "",
        str(bool(spec.get("suspend"))).lower(),
    )


@explained("cron get")
def _get(args: argparse.Namespace) -> int:
    """One of them, in full."""
    from tiphys.cli.engine_access import open_engine

    engine = open_engine()
    for cron in [_known(engine, name) for name in args.names]:
        if args.output == "json":
            import json

            print(json.dumps(cron, indent=2, ensure_ascii=False))
        elif args.output == "yaml":
            import yaml

            print(yaml.safe_dump(cron, allow_unicode=True), end="")
        elif args.output == "name":
            print(cron["metadata"]["name"])
        else:
            for title, value in _shown(cron, time.time()):
                print(f"{title:<{_WIDTH}} {value}".rstrip())
    return 0


def _shown(cron: Json, now: float) -> list[tuple[str, str]]:
    from tiphys.engine import ages
    from tiphys.engine.schedules.cron_workflow import moment_from, next_moment

    metadata, spec, status = cron["metadata"], cron.get("spec") or {}, cron.get("status") or {}
    created, last = moment_from(metadata.get("creationTimestamp")), moment_from(status.get("lastScheduledTime"))
    following = next_moment(cron, now)
    given = [
        ("Name:", metadata["name"]),
        ("Namespace:", metadata.get("namespace") or "default"),
        ("Created:", "" if created is None else ages.timestamp(created, now)),
        ("Schedules:", ",".join(map(str, spec.get("schedules") or []))),
        ("Suspended:", str(bool(spec.get("suspend"))).lower()),
        ("Timezone:", spec.get("timezone")),
        ("StartingDeadlineSeconds:", spec.get("startingDeadlineSeconds")),
        ("ConcurrencyPolicy:", spec.get("concurrencyPolicy")),
        ("LastScheduledTime:", None if last is None else ages.timestamp(last, now)),
        ("NextScheduledTime:", None if following is None else ages.ahead(following, now)),
        ("Active Workflows:", ", ".join(each["name"] for each in status.get("active") or []) or None),
        ("Phase:", status.get("phase") or None),
        ("Succeeded:", status.get("succeeded") or None),
        ("Failed:", status.get("failed") or None),
    ]
    found = [(title, str(value)) for title, value in given if value is not None]
    if status.get("conditions"):
        found.append(("Conditions:", ""))
        found += [(f"✖ {each['type']}", each.get("message") or "") for each in status["conditions"]]
    parameters = ((spec.get("workflowSpec") or {}).get("arguments") or {}).get("parameters") or []
    if parameters:
        found.append(("Workflow Parameters:", ""))
        found += [(f"  {each['name']}:", str(each["value"])) for each in parameters if each.get("value") is not None]
    return found


@explained("cron create")
def _create(args: argparse.Namespace) -> int:
    """Install those of some files; `tiphys run FILE` does so too, and replaces what is there."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.kept import install
    from tiphys.cli.manifests import read_documents
    from tiphys.engine import ManifestError

    engine = open_engine()
    documents = [document for file in args.files for document in read_documents(file)]
    crons = [document for document in documents if document["kind"] == _KIND]
    if not crons:
        msg = "No CronWorkflows found in given files"
        raise ManifestError(msg)
    for cron in crons:
        name = (cron.get("metadata") or {}).get("name")
        if name and engine.objects.get(_KIND, name) is not None:
            msg = f"CronWorkflow {name!r} exists already: `tiphys run {args.files[0]}` replaces it"
            raise ManifestError(msg)
    install(engine, documents)
    return 0


@explained("cron suspend")
def _suspend(args: argparse.Namespace) -> int:
    """Start nothing more until it is resumed."""
    return _set_suspend(args.names, value=True)


@explained("cron resume")
def _resume(args: argparse.Namespace) -> int:
    """Let it start runs again."""
    return _set_suspend(args.names, value=False)


def _set_suspend(names: list[str], *, value: bool) -> int:
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.kept import when_next
    from tiphys.cli.runs import say

    engine = open_engine()
    for name in names:
        _known(engine, name)
        cron = engine.objects.update(
            _KIND, name, lambda old: {**old, "spec": {**(old.get("spec") or {}), "suspend": value}}
        )
        engine.wake()
        print(f"CronWorkflow '{name}' {'suspended' if value else 'resumed'}")
        if cron is not None and not value:
            say(when_next(cron))
    return 0


@explained("cron delete")
def _delete(args: argparse.Namespace) -> int:
    """Forget it; its runs stay."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.engine.errors import EngineError

    engine = open_engine()
    names = [*args.names, *(engine.objects.names(_KIND) if args.all else [])]
    if not names and not args.all:
        msg = "name CronWorkflows to delete, or give --all"
        raise EngineError(msg)
    for name in dict.fromkeys(names):
        _known(engine, name)
        engine.objects.delete(_KIND, name)
        engine.wake()
        print(f"CronWorkflow '{name}' deleted; its runs stay")
    return 0


def _known(engine: Engine, name: str) -> Json:
    """The CronWorkflow of that name. Raises EngineError that names the nearest."""
    import difflib

    from tiphys.engine.errors import EngineError

    found = engine.objects.get(_KIND, name)
    if found is not None:
        return found
    near = difflib.get_close_matches(name, engine.objects.names(_KIND), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    msg = f"CronWorkflow {name!r} is not known here: {hint}`tiphys cron list` shows all"
    raise EngineError(msg)
