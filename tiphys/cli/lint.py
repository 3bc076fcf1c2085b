"""`tiphys lint`: every problem of manifests, before anything runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.runs import explained

if TYPE_CHECKING:
    from tiphys.engine import Engine

Json = dict[str, Any]
_EXAMPLES = """examples:
  tiphys lint hello.yaml
  tiphys lint workflows/           every .yaml, .yml and .json below
  tiphys lint - < hello.yaml
  tiphys lint -o json workflows/
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "lint",
        help="every problem of manifests, before anything runs",
        description="Check manifests as `tiphys run` would, and print every problem with its place and remedy. "
        "What the files hold, and what is installed, may refer to one another. Exit code 1 if there is a problem.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE|DIR", help="manifests (- is standard input)")
    parser.add_argument("-o", "--output", choices=("pretty", "json"), default="pretty", help="what to print")
    parser.set_defaults(func=main)


@explained("lint")
def main(args: argparse.Namespace) -> int:
    """Check, and print."""
    from tiphys.cli.engine_access import open_engine

    found = check(open_engine(), [file for each in args.files for file in _files(each)])
    if args.output == "json":
        import json

        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found)
    return 1 if any(found.values()) else 0


def _files(source: str) -> list[str]:
    from tiphys.engine import ManifestError

    folder = Path(source)
    if not folder.is_dir():
        return [source]
    found = [str(file) for file in sorted(folder.rglob("*")) if file.suffix in (".yaml", ".yml", ".json")]
    if not found:
        msg = f"{source} holds no manifest (*.yaml, *.yml, *.json): give a file, or another folder"
        raise ManifestError(msg)
    return found


def check(engine: Engine, files: list[str]) -> dict[str, list[str]]:
    """The problems of each file, none for one that is well."""
    from tiphys.cli.known_secrets import known_secrets
    from tiphys.cli.manifests import read_documents
    from tiphys.engine import ManifestError
    from tiphys.engine.lint import finder, problems
    from tiphys.secret_values import secret_values

    known = known_secrets()
    found: dict[str, list[str]] = {}
    documents: dict[str, list[Json]] = {}
    for file in files:
        found[file] = []
        try:
            documents[file] = read_documents(file)
        except ManifestError as problem:
            found[file] = [str(problem)]
    find = finder((document for each in documents.values() for document in each), engine.objects.get)
    for file, each in documents.items():
        for document in each:
            listed = problems(document, find, engine.images)
            if document["kind"] != "Secret":
                listed += secret_values(document, known)
            found[file] += [_placed(document, problem) for problem in listed]
    return found


def _placed(document: Json, problem: str) -> str:
    metadata = document.get("metadata") or {}
    name = f"{document['kind']} {metadata.get('name') or metadata.get('generateName') or ''}".strip()
    return problem if problem.startswith(document["kind"]) else f"{name}: {problem}"


def _print(found: dict[str, list[str]]) -> None:
    for file, problems in found.items():
        if problems:
            print(f"{file}:")
        for problem in problems:
            print(f"  ✖ {problem}")
    count = sum(len(problems) for problems in found.values())
    broken = sum(1 for problems in found.values() if problems)
    if count:
        print(f"{count} problem{'s' * (count > 1)} in {broken} of {len(found)} file{'s' * (len(found) > 1)}")
    else:
        print(f"{len(found)} files are well" if len(found) > 1 else "1 file is well")
