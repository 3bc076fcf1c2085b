"""Where the runs are that a command means: on this machine, or on an Argo server. Chosen here and nowhere else."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiphys.cluster import Access, ArgoServer

Main = Callable[[argparse.Namespace], int]


def add_server(parser: Any, command: str = "", *, waits: bool = False) -> None:
    """Declare the flags that name a server. `command`: what `there` calls the command; none if it is only for servers."""
    group = parser.add_argument_group("on an Argo server")
    group.add_argument("--server", default=None, metavar="URL", help="Argo server (default: TIPHYS_ARGO_SERVER)")
    group.add_argument("-n", "--namespace", default=None, metavar="NAME", help="namespace of the runs there")
    group.add_argument("--token-file", type=Path, default=None, metavar="FILE", help="file with the token to send")
    group.add_argument(
        "--ca-file", type=Path, default=None, metavar="FILE", help="certificate of the server's authority"
    )
    group.add_argument("--plain-http", action="store_true", help="send the token over http to another machine")
    if waits:
        group.add_argument(
            "--wait", action="store_true", help="show the run until it has ended; exit 0 if it Succeeded"
        )
    parser.set_defaults(there=command)


def chosen(args: argparse.Namespace) -> Main:
    """The function to call: the command's own, or its counterpart on a server if one is named."""
    command = getattr(args, "there", "")
    found = access(args) if command else None
    if found is None:
        return args.func  # type: ignore[no-any-return]
    from tiphys.cli import there
    from tiphys.cli.runs import explained

    def on_server(args: argparse.Namespace) -> int:
        code: int = getattr(there, command)(args, open_server(found))
        return code

    return explained(command.rstrip("_"))(on_server)


def access(args: argparse.Namespace) -> Access | None:
    """The server that flags or settings name; None if neither does, or `--server ''` says so."""
    from tiphys.cluster.access import Access
    from tiphys.settings import ArgoSettings, load

    settings = load(ArgoSettings)
    url = settings.server if args.server is None else args.server
    if not url:
        return None
    return Access(
        url,
        args.namespace or settings.namespace,
        args.token_file or (Path(settings.token_file) if settings.token_file else None),
        args.ca_file or (Path(settings.ca_file) if settings.ca_file else None),
        plain_http=args.plain_http,
    )


def needed(args: argparse.Namespace) -> Access:
    """The server of a command that is only for servers. Raises ClusterError."""
    from tiphys.cluster import ClusterError

    found = access(args)
    if found is None:
        message = "which Argo server? give --server URL, or set TIPHYS_ARGO_SERVER"
        raise ClusterError(message)
    return found


def open_server(wanted: Access, *, changes: bool = False) -> ArgoServer:
    """The server, known to be an Argo that is new enough. `changes`: new things go there. Raises ClusterError."""
    from tiphys.cli.runs import say
    from tiphys.cluster import connect
    from tiphys.cluster.version import parse

    for warning in wanted.warnings():
        say(f"warning: {warning}")
    server, version = connect(wanted)
    if changes and parse(version) is None:
        say(f"note: {wanted.url} calls its version {version!r}: taken as new enough")
    return server


def flags(args: argparse.Namespace) -> str:
    """What a command that is printed needs to reach the same server."""
    given = [("--server", args.server), ("-n", args.namespace), ("--token-file", args.token_file)]
    given += [("--ca-file", args.ca_file)]
    words = [f" {flag} {value}" for flag, value in given if value]
    return "".join(words) + (" --plain-http" if args.plain_http else "")
