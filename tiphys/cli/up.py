"""`tiphys up`: start the embedded servers, or find them running."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.surroundings import program

if TYPE_CHECKING:
    from tiphys.stack import ServerState, StackInfo

_EXAMPLES = """examples:
  tiphys up                              start everything, wait until it is healthy
  TIPHYS_PORT_BASE=8400 tiphys up        on other ports
  TIPHYS_HOME=/data/tiphys tiphys up     with its state elsewhere
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "up",
        help="start the embedded servers",
        description="Start the embedded servers, or find them running, and wait until all are healthy.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.set_defaults(func=main)


def main(_arguments: argparse.Namespace) -> int:
    """Start, wait, and say where everything is."""
    from tiphys.settings import stack_settings
    from tiphys.stack.ports import Ports

    began = time.monotonic()
    info = bring_up()
    took = time.monotonic() - began
    print(f"all servers are up ({took:.0f} s)" if info.started else "all servers were up already")
    print(f"  MLflow   {info.config_map['TIPHYS_MLFLOW_URL']}")
    print(f"  gateway  {info.config_map['TIPHYS_GATEWAY_URL']}")
    print(f'  Argo API {Ports(stack_settings().port_base).url("engine")}   (eval "$({program()} env argo)")')
    print(f"  logs     {stack_settings().home / 'logs'}")
    print(f"next: {program()} run continuous-training")
    return 0


def bring_up() -> StackInfo:
    """Start the servers or find them, with a live line each; give the engine their addresses and keys, and our workflows.

    Raises:
        TiphysError: something is in the way; the message says what, and the remedy.
    """
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.install import rendered
    from tiphys.cli.kept import as_paused
    from tiphys.settings import stack_settings
    from tiphys.stack import up
    from tiphys.stack.config import documents
    from tiphys.step import contracts

    with _progress() as on_change:
        info = up(stack_settings(), contracts(), on_change)
    engine = open_engine()
    engine.apply(documents(info.config_map, info.secrets))
    engine.apply(as_paused(engine, document) for found in rendered().values() for document in found)
    engine.wake()
    return info


@contextmanager
def _progress() -> Iterator[Callable[[ServerState], None]]:
    """Live lines on a terminal, else a line for each change."""
    began = time.monotonic()
    if not sys.stdout.isatty():
        yield lambda each: print(_line(each, time.monotonic() - began), flush=True)
        return
    from rich.live import Live
    from rich.text import Text

    seen: dict[str, str] = {}
    with Live(Text(), refresh_per_second=10, transient=True) as live:

        def show(each: ServerState) -> None:
            seen[each.name] = _line(each, time.monotonic() - began)
            live.update(Text("\n".join(seen.values())))

        yield show


def _line(each: ServerState, seconds: float) -> str:
    reason = f"  {each.reason}" if each.reason else ""
    return f"{seconds:6.1f} s  {each.name:<18} {each.state}{reason}"
