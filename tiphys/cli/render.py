"""``tiphys render``: write what is made from sources (manifests, reference pages), or check that it is fresh."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tiphys.cli.help_format import HelpFormatter

HEADER = "# Made by `tiphys render` from workflows/{module}.py; do not edit.\n"


def add_parser(subparsers: Any) -> None:
    """Declare the subcommand."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "render",
        help="write the workflows' manifests and the reference pages",
        description="Render workflows/*.py to workflows/rendered/NAME.yaml, contracts and settings to docs/reference/, dashboards "
        "and alert rules to helm/.",
        epilog="examples:\n  tiphys render\n  tiphys render --check      exit 1 if a committed manifest is stale",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file would change")
    parser.set_defaults(func=render)


def render(arguments: argparse.Namespace) -> int:
    """Render all, or compare."""
    from tiphys.cli.known_secrets import known_secrets
    from tiphys.settings import PROJECT

    stale = []
    rendered = manifests(PROJECT / "workflows", known_secrets())
    made = {**rendered, **pages(PROJECT / "docs" / "reference"), **dashboards(PROJECT)}
    for path, text in sorted(made.items()):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(PROJECT)}")
    if arguments.check and stale:
        names = ", ".join(str(each.relative_to(PROJECT)) for each in stale)
        print(f"stale: {names}; run 'tiphys render' and commit the result", file=sys.stderr)
        return 1
    return 0


def manifests(folder: Path, known_secrets: Collection[str] = ()) -> dict[Path, str]:
    """Return every rendered file's path and text.

    Raises:
        PermanentError: a manifest holds a secret's value, one of `known_secrets` or what looks like one.
    """
    from tiphys.rendering import documents, text

    found = {}
    for source in sorted(folder.glob("*.py")):
        if source.stem.startswith("_"):
            continue
        made = importlib.import_module(f"workflows.{source.stem}").pipeline()
        path = folder / "rendered" / f"{source.stem.replace('_', '-')}.yaml"
        found[path] = HEADER.format(module=source.stem) + text(documents(made), known_secrets)
    return found


def pages(folder: Path) -> dict[Path, str]:
    """Return every reference page's path and text."""
    from tiphys.reference import settings_page, steps_page
    from tiphys.settings import variables
    from tiphys.step import contracts

    return {folder / "steps.md": steps_page(contracts()), folder / "settings.md": settings_page(variables())}


def dashboards(project: Path) -> dict[Path, str]:
    """Return the path and text of every dashboard and file of alert rules."""
    from tiphys.watch.dashboards import FOLDER, files

    return {project / FOLDER / name: text for name, text in files().items()}
