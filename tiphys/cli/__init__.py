"""The command line: one file a subcommand; each says what it takes and imports what it needs when it runs."""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
from collections.abc import Sequence

from tiphys import __version__
from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.places import chosen
from tiphys.errors import EXIT_RETRYABLE, TiphysError

COMMANDS = (
    "up", "down", "serve", "status", "doctor", "env",
    "run", "lint", "list_", "get", "watch", "logs", "suspend", "resume", "stop", "terminate", "retry", "resubmit",
    "delete", "cron", "events", "retrain", "replay", "why_cached", "why_missed", "cache", "parity",
    "submit", "install",
    "render", "simulate", "drill", "predict", "release", "images",
)  # fmt: skip
"""Modules of this package in the order of ``--help``."""

EXAMPLES = """\
examples:
  tiphys up                                  start the embedded servers
  tiphys run continuous-training             run the pipeline on simulated trips
  tiphys run hello.yaml -p message=ahoy      run any Argo workflow
  tiphys predict                             ask the model in production
  tiphys down                                stop everything
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; its exit code is the process's."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = _parser(words[:1]).parse_args(words)
    try:
        code = chosen(arguments)(arguments)
    except TiphysError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    except Exception as error:
        if not _is_full(error):
            raise
        print(f"error: no room left on the disk of {_home()}; free some, then type the same again", file=sys.stderr)
        return EXIT_RETRYABLE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return code


def _is_full(error: Exception) -> bool:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or "disk is full" in str(error)


def _home() -> str:
    from tiphys.settings import stack_settings

    return str(stack_settings().home)


def _parser(first: list[str]) -> argparse.ArgumentParser:
    """Knows the command that `first` names, without loading the others; all of them if it names none."""
    parser = argparse.ArgumentParser(
        prog="tiphys",
        description="Machine-learning pipelines on Argo Workflows: the same manifest on this laptop and on a cluster.",
        epilog=EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tiphys {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in [each for each in COMMANDS if [each.rstrip("_").replace("_", "-")] == first] or COMMANDS:
        importlib.import_module(f"tiphys.cli.{name}").add_parser(subparsers)
    return parser
