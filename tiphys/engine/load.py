"""Reads manifests as Argo's own YAML reader does: several documents a file, its booleans, texts for values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tiphys.engine.errors import ManifestError, UnreadableError
from tiphys.engine.gotext import go_float, go_json
from tiphys.engine.nesting import DEEPEST, check_text, check_tree

Json = dict[str, Any]
_EXACT = 2**53  # whole numbers up to here are exact in a float64
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # the C loader where libyaml is there
    """YAML as sigs.k8s.io/yaml reads it: y, n, on, off are booleans too, dates stay texts, 1e3 is a number."""


_Loader.yaml_implicit_resolvers = {}
_BOOLEANS = "y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"
_TRUE = {"y", "yes", "true", "on"}
for _tag, _pattern, _first in (
    ("bool", rf"^(?:{_BOOLEANS})$", "yYnNtTfFoO"),
    ("int", r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$", "-+0123456789."),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^(?:<<)$", "<"),
):  # fmt: skip
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _construct_bool(loader: Any, node: Any) -> bool:
    text = str(loader.construct_scalar(node))
    if text not in _BOOLEANS.split("|"):
        msg = f"line {node.start_mark.line + 1}: {text!r} is neither true nor false"
        raise ManifestError(msg)
    return text.lower() in _TRUE


def _refuse_tag(_loader: Any, node: Any) -> Any:
    kind = node.tag.rpartition(":")[2]
    msg = f"line {node.start_mark.line + 1}: JSON has no !!{kind}: write the value as a text, in quotes"
    raise ManifestError(msg)


def _construct_float(loader: Any, node: Any) -> Any:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    if text.lstrip("+-") in (".inf", ".nan"):
        msg = f"{text}: JSON has no such number: write it as a text, in quotes"
        raise ManifestError(msg)
    return float(text)


def _construct_mapping(loader: Any, node: Any) -> Json:
    if not isinstance(node, yaml.MappingNode):
        msg = f"line {node.start_mark.line + 1}: a mapping is needed here"
        raise ManifestError(msg)
    own = {id(key_node) for key_node, _ in node.value}  # what `<<` merges in may be given once more
    seen: set[str] = set()
    loader.flatten_mapping(node)
    mapping: Json = {}
    for key_node, value_node in node.value:
        key = _key(loader.construct_object(key_node, deep=True), key_node)
        if id(key_node) in own:
            if key in seen:
                msg = f"line {key_node.start_mark.line + 1}: the key {key!r} is given twice: keep one"
                raise ManifestError(msg)
            seen.add(key)
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


def _key(key: Any, node: Any) -> str:
    if key is None or isinstance(key, (list, dict)):
        msg = f"line {node.start_mark.line + 1}: a list, a mapping or nothing can't be a key: write a text"
        raise ManifestError(msg)
    return value_text(key) if not isinstance(key, str) else key


_Loader.add_constructor("tag:yaml.org,2002:bool", _construct_bool)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
for _tag in ("timestamp", "binary", "set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _refuse_tag)


def load_text(text: str, source: str = "the manifest") -> list[Json]:
    """The documents of a YAML or JSON text. Raises ManifestError that names `source` and the line."""
    documents = [document for document in _parse(text, source) if document is not None]
    for document in documents:
        if not isinstance(document, dict) or "kind" not in document:
            msg = f"{source}: a document without `kind`: write Kubernetes objects such as kind: Workflow"
            raise ManifestError(msg)
    return documents


def _parse(text: str, source: str) -> list[Any]:
    """All documents of a text, none too deep or too large. Raises ManifestError that names `source`."""
    try:
        check_text(text, _Loader)
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        msg = f"{source} is not YAML: {error}"
        raise ManifestError(msg) from None
    except RecursionError:
        msg = f"{source}: nested more than {DEEPEST} levels deep: put inner templates beside the outer ones"
        raise ManifestError(msg) from None
    except (ManifestError, ValueError) as error:
        msg = f"{source}: {error}"
        raise ManifestError(msg) from None
    for document in documents:
        check_tree(document, source)
    return documents


def load_file(path: Path) -> list[Json]:
    """The documents of a manifest file. Raises ManifestError."""
    return load_text(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file. Raises UnreadableError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{path} can't be read: {error.strerror}: check the path"
        raise UnreadableError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path} is not UTF-8: save it as UTF-8"
        raise UnreadableError(msg) from None


def load_parameters(path: Path) -> dict[str, str]:
    """A parameter file: a YAML or JSON mapping of names to values. Raises ManifestError."""
    documents = _parse(read_text(path), str(path))
    values = documents[0] if len(documents) == 1 else None
    if not isinstance(values, dict):
        msg = f"{path}: a parameter file is a mapping of names to values"
        raise ManifestError(msg)
    return {name: value_text(value) for name, value in values.items()}


def value_text(value: Any) -> str:
    """A parameter's value as the text that Argo keeps: 1.50 becomes 1.5, true stays true."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return _number_text(value)
    if isinstance(value, (dict, list)):
        return go_json(value)
    return "" if value is None else str(value)


def _number_text(value: float) -> str:
    """All digits and no exponent, as Argo writes a number that it has read as a float64. Raises ManifestError."""
    if isinstance(value, int) and abs(value) <= _EXACT:
        return str(value)
    try:
        return go_float(float(value), large=400, small=-400)
    except OverflowError:
        msg = "a number of more than 308 digits: write it as a text, in quotes"
        raise ManifestError(msg) from None
