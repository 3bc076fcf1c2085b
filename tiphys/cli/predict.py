"""`tiphys predict`: ask the model that serves, through the gateway, one question or a table of them."""

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
  tiphys predict --batch rides.csv                  a row, a question; answers go to rides.predicted.csv
  tiphys predict --batch rides.parquet --output eta.csv.gz --force
  tiphys predict --canary --batch - < rides.csv > answered.csv

A table is CSV, CSV under gzip or Parquet, as its name says. Its columns are named as the question's fields; others go into
the output as they are. The answer's fields follow, and `error`: why a row has no answer. Exit codes of a table: 0 all rows
are answered, 1 some are not (column `error` says why), 65 no table that can be asked, 75 the gateway is away or has no room,
130 interrupted. With any but 0 and 1 there is no output.
"""
_DEFAULT = "taxi_eta"
_OK = 200
_UNAVAILABLE = 503
_REMEDIES = {
    "not_served": "; 'tiphys release show {environment}' says what should be there, 'tiphys run continuous-training' makes a model"
}
"""What a person can do about an error of the gateway, by its code, where its message cannot know."""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "predict",
        help="ask the model in production",
        description="Ask the gateway a question, or a table of them. Fields that are not given are those of the use case's "
        "first example.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        "words", nargs="*", metavar="USE_CASE | FIELD=VALUE", help=f"use case (default: {_DEFAULT}) and fields"
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--staging", action="store_true", help="ask the model in staging instead of production")
    place.add_argument("--canary", action="store_true", help="ask the canary instead of production")
    parser.add_argument("--json", action="store_true", help="the answer as JSON")
    table = parser.add_argument_group("a table of questions")
    table.add_argument(
        "--batch", metavar="FILE", help="ask every row of FILE: .csv, .csv.gz, .parquet, or - for CSV in a pipe"
    )
    table.add_argument("--output", metavar="FILE", help="where the answers go (default: FILE.predicted.csv and so on)")
    table.add_argument("--force", action="store_true", help="overwrite the output")
    table.add_argument("--quiet", action="store_true", help="no progress and no summary")
    parser.set_defaults(func=main)


def main(arguments: argparse.Namespace) -> int:
    """Ask and print.

    Raises:
        PermanentError: the gateway refuses the question.
        RetryableError: nobody answers.
    """
    from tiphys.errors import PermanentError
    from tiphys.usecase import UseCase

    name, fields = _read(arguments.words)
    use_case = UseCase(name)
    environment = "staging" if arguments.staging else "canary" if arguments.canary else "production"
    path = f"{'' if environment == 'production' else '/' + environment}/v1/{use_case.api.route}"
    if arguments.batch is None:
        if arguments.output or arguments.force or arguments.quiet:
            message = "--output, --force and --quiet belong to --batch FILE"
            raise PermanentError(message)
        return _one(use_case, environment, path, fields, as_json=arguments.json)
    if fields or arguments.json:
        message = "--batch takes its questions from the file's columns and answers in a file: leave FIELD=VALUE and --json out"
        raise PermanentError(message)
    from tiphys.cli.predict_batch import ask_table

    return ask_table(use_case.api, f"{path}/batch", arguments)


def _one(use_case: Any, environment: str, path: str, fields: Mapping[str, Any], *, as_json: bool) -> int:
    from tiphys.cli.surroundings import settings
    from tiphys.errors import PermanentError, RetryableError
    from tiphys.serving.gateway_client import GatewayClient
    from tiphys.settings import AskerSettings

    question = {**use_case.api.examples[0], **fields}
    asker = settings(AskerSettings)
    reply = GatewayClient(asker.url, key=asker.key).ask(path, question)
    if reply.status != _OK:
        remedy = _REMEDIES.get(reply.code, "").format(environment=environment)
        message = f"{use_case.name} in {environment} gives no answer ({reply.status}): {reply.error}{remedy}"
        raise (RetryableError if reply.status >= _UNAVAILABLE else PermanentError)(message)
    if as_json:
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
