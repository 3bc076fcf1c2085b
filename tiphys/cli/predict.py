"""`tiphys predict`: ask the model that serves, through the gateway."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tiphys.cli.help_format import HelpFormatter

_EXAMPLES = """examples:
  tiphys predict                                    ask the use case's first example
  tiphys predict pickup_zone=161 dropoff_zone=138 pickup_time=2019-06-14T17:30 passengers=1
  tiphys predict taxi_eta --staging                 ask the candidate
  tiphys predict tests.usecases.tiny litres=1.5 celsius=20 --json
"""
_DEFAULT = "taxi_eta"
_OK = 200
_UNAVAILABLE = 503


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "predict",
        help="ask the model in production",
        description="Ask the gateway one question. Fields that are not given are those of the use case's first example.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "words", nargs="*", metavar="USE_CASE | FIELD=VALUE", help=f"use case (default: {_DEFAULT}) and fields"
    )
    parser.add_argument("--staging", action="store_true", help="ask the model in staging instead of production")
    parser.add_argument("--json", action="store_true", help="the answer as JSON")
    parser.set_defaults(func=main)


def main(arguments: argparse.Namespace) -> int:
    """Ask and print.

    Raises:
        PermanentError: the gateway refuses the question.
        RetryableError: nobody answers.
    """
    from tiphys.cli.surroundings import settings
    from tiphys.errors import PermanentError, RetryableError
    from tiphys.serving.gateway_client import GatewayClient
    from tiphys.settings import ServingSettings
    from tiphys.usecase import UseCase

    name, fields = _read(arguments.words)
    use_case = UseCase(name)
    question = {**use_case.api.examples[0], **fields}
    environment = "staging" if arguments.staging else "production"
    path = f"{'/staging' if arguments.staging else ''}/v1/{use_case.api.route}"
    reply = GatewayClient(settings(ServingSettings).gateway_url).ask(path, question)
    if reply.status != _OK:
        message = f"{use_case.name} in {environment} gives no answer ({reply.status}): {reply.error}"
        raise (RetryableError if reply.status >= _UNAVAILABLE else PermanentError)(message)
    if arguments.json:
        print(json.dumps(reply.body))
    else:
        _print(f"{use_case.name} in {environment}", question, reply.body)
    return 0


def _read(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    from tiphys.errors import PermanentError

    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        message = f"one use case at a time, not {', '.join(names)}; fields are given as FIELD=VALUE"
        raise PermanentError(message)
    pairs = [word.partition("=") for word in words if "=" in word]
    return (names or [_DEFAULT])[0], {field: _value(text) for field, _, text in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _print(title: str, question: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    print(title)
    print("  asked   " + " ".join(f"{name}={value}" for name, value in question.items()))
    width = max(len(name) for name in answer)
    for at, (name, value) in enumerate(answer.items()):
        print(f"  {'answer' if at == 0 else '':<7} {name:<{width}}  {value}")
