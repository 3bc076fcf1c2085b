"""`tiphys predict --batch`: a table of questions, with a bar on a terminal and plain lines elsewhere, both on stderr."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiphys.serving.batch import Progress
    from tiphys.usecase import Api

Tell = Callable[["Progress"], None]
SOME_REFUSED = 1
"""Exit code: the table is there, and some of its rows have an error instead of an answer."""
_TIMEOUT = 60.0
_EVERY = 10.0


def ask_table(api: Api, path: str, arguments: argparse.Namespace) -> int:
    """Ask every row of a file; returns the exit code.

    Raises:
        PermanentError: a file, or the gateway, is not as it must be.
        RetryableError: the gateway is away, or has no room for too long.
    """
    from tiphys.cli.surroundings import settings
    from tiphys.serving.batch import IN_FLIGHT, Asker, answer_columns, run
    from tiphys.serving.batch_sink import check_target, open_sink
    from tiphys.serving.batch_source import STREAM, open_source
    from tiphys.serving.gateway_client import GatewayClient
    from tiphys.settings import AskerSettings

    started = time.monotonic()
    target = arguments.output or (STREAM if arguments.batch == STREAM else _beside(arguments.batch))
    with open_source(arguments.batch) as source:
        check_target(target, arguments.batch, force=arguments.force)
        gateway = settings(AskerSettings)
        asker = Asker(GatewayClient(gateway.url, timeout=_TIMEOUT, key=gateway.key, connections=IN_FLIGHT), path)
        with open_sink(target, source, answer_columns(api)) as sink, _shown(quiet=arguments.quiet) as tell:
            done = run(source, sink, api, asker, tell)
    if not arguments.quiet:
        _sum_up(done, time.monotonic() - started, target)
    return SOME_REFUSED if done.refused else 0


def _beside(name: str) -> str:
    """`rides.csv.gz` -> `rides.predicted.csv.gz`."""
    path = Path(name)
    first, dot, rest = path.name.rpartition(".csv.gz") if path.name.lower().endswith(".csv.gz") else ("", "", "")
    stem, ending = (first, dot + rest) if first else (path.stem, path.suffix)
    return str(path.with_name(f"{stem}.predicted{ending}"))


def _sum_up(done: Progress, seconds: float, target: str) -> None:
    refused = f", {done.refused:,} refused (column 'error' says why)" if done.refused else ""
    if done.status_quo:
        refused += f", {done.status_quo:,} by the status quo (column 'source')"
    pace = f"{done.rows / max(seconds, 1e-3):,.0f} rows/s"
    print(f"{done.rows - done.refused:,} rows answered{refused} in {seconds:.1f} s, {pace}: {target}", file=sys.stderr)


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Tell]:
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar() as tell:
            yield tell
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Tell]:
    """A bar with rows, rows a second and the time that remains; a pulse where nobody knows how many there are."""
    from rich import progress
    from rich.console import Console

    columns = (
        progress.BarColumn(),
        progress.TextColumn("{task.fields[rows]:,} rows  {task.fields[pace]:,.0f} rows/s"),
        progress.TimeRemainingColumn(),
    )
    started = time.monotonic()
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task("", total=None, rows=0, pace=0.0)

        def tell(now: Progress) -> None:
            pace = now.rows / max(time.monotonic() - started, 1e-3)
            total = None if now.share is None else 1.0
            shown.update(bar, total=total, completed=now.share or 0.0, rows=now.rows, pace=pace)

        yield tell


def _lines() -> Tell:
    started = last = time.monotonic()

    def tell(now: Progress) -> None:
        nonlocal last
        moment = time.monotonic()
        if moment - last >= _EVERY:
            last = moment
            part = "" if now.share is None else f" ({now.share:.0%})"
            print(f"{now.rows:,} rows{part}, {now.rows / (moment - started):,.0f} rows/s", file=sys.stderr, flush=True)

    return tell
