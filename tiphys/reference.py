"""The reference pages, from their only sources: steps from the contracts, variables from the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from tiphys.settings import Variable
from tiphys.step import Contract

MADE = "<!-- Made by `tiphys render`; do not edit. -->\n"


def steps_page(contracts: Mapping[str, Contract]) -> str:
    """Every step: what it does, takes, tells, may touch and needs."""
    parts = [MADE, "# Steps\n", "Each runs alone, too: `python -m components.NAME --help`.\n"]
    for contract in contracts.values():
        parts += [f"## {contract.template}\n", f"{contract.summary}\n", *_step(contract)]
    return "\n".join(parts)


def settings_page(variables: Iterable[Variable]) -> str:
    """Every variable of the environment that Tiphys reads."""
    rows = (
        f"| `{each.name}` | {each.meaning} | {_default(each)} | {'Secret' if each.secret else ''} |"
        for each in variables
    )
    about = (
        "On a cluster addresses come from the ConfigMap `tiphys` and credentials from the Secret `tiphys-<component>`; "
        "on a laptop `tiphys up` makes both. `tiphys env COMPONENT` prints them for a step run by hand.\n"
    )
    head = ["| variable | meaning | default | |", "|---|---|---|---|"]
    return "\n".join([MADE, "# Settings\n", about, *head, *rows]) + "\n"


def _step(contract: Contract) -> Iterator[str]:
    resources = contract.resources
    yield (
        f"Effects: {contract.effects}. Deadline {contract.timeout}, {contract.retries} retries. "
        f"Asks for {resources.cpu} CPU and {resources.memory}, at most {resources.cpu_limit} and "
        f"{resources.memory_limit}, with {resources.scratch} in /tmp. {_access(contract)}\n"
    )
    yield from _table("input", contract.inputs.model_fields)
    yield from _table("output", contract.outputs.model_fields)


def _table(title: str, fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    if fields:
        yield f"| {title} | type | meaning |\n|---|---|---|"
        yield from (
            f"| `{name.replace('_', '-')}` | {_type(each)} | {_meaning(each)} |" for name, each in fields.items()
        )
        yield ""


def _meaning(field: FieldInfo) -> str:
    text = (field.description or "").replace("|", "\\|")
    return text if field.is_required() or field.default is None else f"{text} (default `{field.default}`)"


def _type(field: FieldInfo) -> str:
    kind: Any = field.annotation
    if kind is Path:
        return "artifact"
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    return name.replace("|", "\\|")


def _access(contract: Contract) -> str:
    access = contract.access
    found = []
    if access.read:
        found.append("reads " + ", ".join(f"`{each}`" for each in access.read))
    if access.write:
        found.append("writes " + ", ".join(f"`{each}`" for each in access.write))
    if access.catalog:
        found.append(f"catalog: {access.catalog}")
    if access.ray:
        found.append("submits to Ray")
    if access.ledger:
        found.append(f"release ledger: {access.ledger}")
    if access.pods:
        found.append("makes pods where a cluster lets it")
    if access.registry:
        found.append(f"image registry: {access.registry}")
    if access.governor:
        found.append(f"governor: {access.governor}")
    if access.outside:
        found.append("the outside: git hosts, package indexes")
    return f"Access: {'; '.join(found)}." if found else "Access: nothing."


def _default(variable: Variable) -> str:
    if variable.default is None:
        return "required"
    return f"`{variable.default}`" if variable.default and not variable.default.startswith("/") else ""
