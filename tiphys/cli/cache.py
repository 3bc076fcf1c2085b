"""`tiphys cache`: what is kept of steps, what is in quarantine, and running a sample again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.runs import explained, say

if TYPE_CHECKING:
    from tiphys.cache.store import Entry, Store
    from tiphys.engine import Engine

_EXAMPLES = """examples:
  tiphys cache list                     what is kept, the latest first
  tiphys cache audit --sample 3         run three of them again; what differs goes into quarantine
  tiphys cache audit --share 0.1 --step evaluate
  tiphys cache quarantine               what is never used, and why
  tiphys cache quarantine --lift train  a person says that it is right now
  tiphys cache clear                    forget all of it: the next run runs everything
"""
_SHOWN = 12


def add_parser(subparsers: Any) -> None:
    """Declare the command and its parts."""
    parser = subparsers.add_parser(
        "cache",
        help="results of steps that are kept",
        description="Steps whose contract says pure or measured are not run where nothing has changed that decides what comes "
        "out of them. See also: tiphys why-cached, why-missed, run --no-cache, run --audit-cache.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parts = parser.add_subparsers(metavar="WHAT", required=True)
    listing = parts.add_parser("list", help="what is kept")
    listing.add_argument("--step", default="", metavar="TEMPLATE", help="only results of this template")
    listing.set_defaults(func=_list)
    audit = parts.add_parser("audit", help="run a sample again and compare; exit code 1 if one differs or fails")
    audit.add_argument("--step", default="", metavar="TEMPLATE", help="only results of this template")
    size = audit.add_mutually_exclusive_group()
    size.add_argument("--sample", type=int, default=None, metavar="N", help="so many")
    size.add_argument("--share", type=float, default=0.1, metavar="SHARE", help="this share, 0 to 1 (default: 0.1)")
    audit.set_defaults(func=_audit)
    quarantine = parts.add_parser("quarantine", help="steps whose results are never used")
    quarantine.add_argument("--lift", default="", metavar="TEMPLATE", help="let results of this template be used again")
    quarantine.set_defaults(func=_quarantine)
    clear = parts.add_parser("clear", help="forget what is kept; quarantines stay")
    clear.add_argument("--step", default="", metavar="TEMPLATE", help="only results of this template")
    clear.set_defaults(func=_clear)


@explained("cache list")
def _list(args: argparse.Namespace) -> int:
    import time

    store = _store(_engine())
    for each in store.entries(args.step):
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.made))
        print(f"{each.key[:_SHOWN]}  {made}  {each.template:<18} {each.run}")
    return 0


@explained("cache audit")
def _audit(args: argparse.Namespace) -> int:
    import random

    from tiphys.cache.audit import sample

    if not 0 <= args.share <= 1 or (args.sample is not None and args.sample < 1):
        say("tiphys cache audit: --share is from 0 to 1, --sample at least 1")
        return 2
    engine = _engine()
    store = _store(engine)
    entries = store.entries(args.step)
    if not entries:
        say("nothing is kept that could be run again: `tiphys cache list`")
        return 0
    verdicts = [_again(engine, store, each) for each in sample(entries, args.sample, args.share, random.Random())]  # noqa: S311
    return 1 if {"differs", "failed"} & set(verdicts) else 0


def _again(engine: Engine, store: Store, entry: Entry) -> str:
    """Run one step again; what the cache says of it."""
    from tiphys.cache.audit import workflow_of
    from tiphys.cli.run import to_the_end
    from tiphys.engine.engine import ignore

    document = workflow_of(entry)
    if document is None:
        print(f"{entry.key[:_SHOWN]} {entry.template}: not run again: a value of it holds a tag")
        return "not cached"
    name = engine.submit([document])
    run = to_the_end(engine, name, ignore)
    told = store.look_ups(name)
    verdict, reason = (told[-1].verdict, told[-1].reason) if told else ("not cached", "the cache was not asked")
    if run.phase != "Succeeded":
        verdict, reason = "failed", f"{run.phase}: {run.message}: tiphys get {name}"
    print(f"{entry.key[:_SHOWN]} {entry.template}: {verdict}: {reason}")
    return verdict


@explained("cache quarantine")
def _quarantine(args: argparse.Namespace) -> int:
    store = _store(_engine())
    if args.lift:
        lifted = store.lift(args.lift)
        print(f"{args.lift}: {'its results may be used again' if lifted else 'was not in quarantine'}")
        return 0 if lifted else 1
    for each in store.quarantined():
        print(f"{each.template} with code {each.code[:_SHOWN]}: {each.reason}")
    return 0


@explained("cache clear")
def _clear(args: argparse.Namespace) -> int:
    print(f"forgot {_store(_engine()).clear(args.step)} results")
    return 0


def _engine() -> Engine:
    from tiphys.cli.engine_access import open_engine

    return open_engine()


def _store(engine: Engine) -> Store:
    from tiphys.cache.store import Store

    return Store(engine.state)
