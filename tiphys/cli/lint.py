"""`tiphys lint`: what is wrong with manifests, before anything runs."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.help_format import HelpFormatter
from tiphys.cli.runs import add_colour, explained, in_colour

if TYPE_CHECKING:
    from tiphys.engine import Engine
    from tiphys.engine.linting.lines import Lines
    from tiphys.engine.linting.rules import Finding

Json = dict[str, Any]
_EXAMPLES = """examples:
  tiphys lint hello.yaml
  tiphys lint workflows/                     every .yaml, .yml and .json below
  tiphys lint - < hello.yaml
  tiphys lint -o json workflows/
  tiphys lint --ignore floating-image workflows/
  tiphys lint --rules                        what is looked for

An annotation of a Workflow or of a template says what does not count there:
  annotations: {tiphys/lint-ignore: "parameter-in-code, floating-image"}
"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "lint",
        help="every problem of manifests, before anything runs",
        description="Check manifests as `tiphys run` would and by more rules, and print every problem with its line, its "
        "rule and its remedy. What the files hold, and what is installed, may refer to one another. Exit code 1 if there "
        "is an error, 2 if a file can't be read; warnings count with --strict.",
        epilog=_EXAMPLES,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("files", nargs="*", metavar="FILE|DIR", help="manifests (- is standard input)")
    parser.add_argument("-o", "--output", choices=("pretty", "json"), default="pretty", help="what to print")
    parser.add_argument("--ignore", action="append", default=[], metavar="RULE,...", help="rules that do not count")
    parser.add_argument("--strict", action="store_true", help="end with 1 for warnings, too")
    parser.add_argument("--rules", action="store_true", help="print the rules and end")
    add_colour(parser)
    parser.set_defaults(func=main)


@explained("lint")
def main(args: argparse.Namespace) -> int:
    """Check, and print."""
    from tiphys.cli.engine_access import open_engine
    from tiphys.cli.runs import REFUSED
    from tiphys.engine import ManifestError
    from tiphys.engine.linting.rules import ERROR, RULES, UNREADABLE

    if args.rules:
        _print_rules()
        return 0
    if not args.files:
        msg = "which manifests? give files or folders, or - for standard input"
        raise ManifestError(msg)
    ignored = {name.strip() for each in args.ignore for name in each.split(",") if name.strip()}
    for name in ignored - RULES.keys():
        msg = f"--ignore {name}: there is no such rule (`tiphys lint --rules` lists them)"
        raise ManifestError(msg)
    found = check(open_engine(), [file for each in args.files for file in _files(each)])
    found = {
        file: [each for each in listed if each.rule not in ignored - {UNREADABLE}] for file, listed in found.items()
    }
    if args.output == "json":
        import json

        print(
            json.dumps(
                {file: [each.to_json() for each in listed] for file, listed in found.items()},
                indent=2,
                ensure_ascii=False,
            )
        )
    else:
        _print(found, colour=in_colour(args))
    if any(each.rule == UNREADABLE for listed in found.values() for each in listed):
        return REFUSED
    return 1 if any(args.strict or each.severity == ERROR for listed in found.values() for each in listed) else 0


def _print_rules() -> None:
    from tiphys.engine.linting.rules import RULES

    width = max(map(len, RULES))
    for rule in RULES.values():
        print(f"{rule.name:<{width}}  {rule.severity:<7}  {rule.about}")


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


def check(engine: Engine, files: list[str]) -> dict[str, list[Finding]]:
    """What is found in each file, nothing for one that is well."""
    from tiphys.cli.manifests import read_source
    from tiphys.engine import ManifestError
    from tiphys.engine.errors import UnreadableError
    from tiphys.engine.lint import finder
    from tiphys.engine.linting.rules import UNREADABLE, Finding

    found: dict[str, list[Finding]] = {}
    documents: dict[str, list[tuple[Json, Lines | None]]] = {}
    for file in files:
        found[file] = []
        try:
            documents[file] = read_source(file)
        except UnreadableError as problem:
            found[file] = [Finding(UNREADABLE, "", str(problem))]
        except ManifestError as problem:
            found[file] = [Finding("not-yaml", "", str(problem), _line_in(str(problem)))]
    find = finder((document for each in documents.values() for document, _ in each), engine.objects.get)
    names: Counter[tuple[str, str]] = Counter()
    for file, each in documents.items():
        for document, lines in each:
            found[file] += [_named(document, finding) for finding in _document(engine, document, lines, find, names)]
    return found


def _line_in(message: str) -> int:
    import re

    at = re.search(r"line (\d+)", message)
    return int(at[1]) if at else 0


def _document(
    engine: Engine, document: Json, lines: Lines | None, find: Any, names: Counter[tuple[str, str]]
) -> list[Finding]:
    from tiphys.engine.linting.check import findings
    from tiphys.engine.linting.rules import Finding

    found = findings(document, find, engine.images, lines) + _secrets(document, lines)
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(name, str) and isinstance(document.get("kind"), str):
        names[document["kind"], name] += 1
        if names[document["kind"], name] == 2:  # noqa: PLR2004
            said = f"{document['kind']} {name!r} is given more than once: the last one counts, wherever it stands"
            found.append(Finding("duplicate-object", "metadata", said, lines.of(("metadata",), -1) if lines else 0))
    return sorted(found, key=lambda each: each.line)


def _secrets(document: Json, lines: Lines | None) -> list[Finding]:
    """Secrets in the open. Their values are never repeated."""
    from tiphys.cli.known_secrets import known_secrets
    from tiphys.engine.linting.check import opted_out
    from tiphys.engine.linting.lines import path_of
    from tiphys.engine.linting.rules import Finding
    from tiphys.secret_guesses import REMEDY, open_secrets, random_looking
    from tiphys.secret_values import secret_values

    if document.get("kind") == "Secret":
        return []
    told = [("open-secret", said.partition(" ")[0], said) for said in secret_values(document, known_secrets())]
    known = {place for _, place, _ in told}
    told += [
        ("open-secret", place, f"{place} holds {what}: {REMEDY}")
        for place, what in open_secrets(document)
        if place not in known
    ]
    known |= {place for _, place, _ in told}
    told += [
        ("maybe-secret", place, f"{place} holds {what}: {REMEDY}")
        for place, what in random_looking(document)
        if place not in known
    ]
    found = [
        Finding(rule, place, said, lines.of(path_of(document, place), -1) if lines else 0) for rule, place, said in told
    ]
    return [each for each in found if not opted_out(document, each)]


def _named(document: Json, finding: Finding) -> Finding:
    """The finding with its document's name in the message."""
    from dataclasses import replace

    metadata = document.get("metadata") if isinstance(document.get("metadata"), dict) else {}
    name = f"{document['kind']} {(metadata or {}).get('name') or (metadata or {}).get('generateName') or ''}".strip()
    if finding.message.startswith(str(document["kind"])):
        return finding
    return replace(finding, message=f"{name}: {finding.message}")


def _print(found: dict[str, list[Finding]], *, colour: bool) -> None:
    from tiphys.engine.linting.rules import ERROR
    from tiphys.engine.tree import paint

    for file, listed in found.items():
        if listed:
            print(f"{file}:")
        for each in listed:
            mark = paint("✖", "Failed", colour) if each.severity == ERROR else paint("!", "Pending", colour)
            print(f"  {mark} {f'line {each.line}: ' if each.line else ''}{each.message}  [{each.rule}]")
    every = [each.severity for listed in found.values() for each in listed]
    errors, warnings = every.count(ERROR), len(every) - every.count(ERROR)
    broken = sum(1 for listed in found.values() if listed)
    if every:
        counts = [
            f"{count} {what}{'s' * (count > 1)}" for count, what in ((errors, "error"), (warnings, "warning")) if count
        ]
        print(f"{' and '.join(counts)} in {broken} of {len(found)} file{'s' * (len(found) > 1)}")
    else:
        print(f"{len(found)} files are well" if len(found) > 1 else "1 file is well")
