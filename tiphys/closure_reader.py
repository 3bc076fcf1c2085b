"""What one file of code asks for: names that may be modules, texts that may be files, and lines that nobody can know.

Known is `import` in every form, and `import_module("a.b")` or `__import__("a")` with one constant text, a relative one only
beside `__package__`. Whoever takes an importer in any other way (under another name, into a variable, by `getattr`, with a
name that is made), and whoever brings code in by a loader, makes a line that nobody can know. Refusing too much costs a run.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import lru_cache

_IMPORTERS = frozenset({"import_module", "__import__"})
_CODE_FROM_ELSEWHERE = frozenset(
    {
        "spec_from_file_location", "spec_from_loader", "module_from_spec", "exec_module", "load_module", "load_source",
        "SourceFileLoader", "SourcelessFileLoader", "ExtensionFileLoader", "LazyLoader", "PathFinder", "FileFinder",
        "run_path", "run_module", "iter_modules", "walk_packages", "find_loader", "get_loader", "zipimporter",
        "entry_points", "iter_entry_points", "EntryPoint", "addsitedir",
    }
)  # fmt: skip
_REFUSED = _CODE_FROM_ELSEWHERE | _IMPORTERS
_LOADERS = frozenset(
    {
        "runpy", "pkgutil", "imp", "zipimport", "builtins", "importlib.machinery", "importlib.abc", "_imp",
        "importlib._bootstrap", "importlib._bootstrap_external", "_frozen_importlib", "_frozen_importlib_external",
    }
)  # fmt: skip
"""Modules that are for loading code: who imports one may do so in ways that no name shows."""
_IMPORTLIB = frozenset({"util", "metadata", "resources"})
"""Parts of `importlib` that may be used by their attributes' names."""
_BUILT_IN = frozenset({"exec", "eval", "__import__", "__builtins__", "__loader__"})
_WHERE_FROM = frozenset({"path", "meta_path", "path_hooks"})
"""Of `sys`: who changes one imports from elsewhere."""
_LONGEST_PATH = 200
_STARTED = re.compile(r"(?:^|\s)-m\s+([A-Za-z_]\w*(?:\.\w+)*)")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


@dataclass(frozen=True)
class Names:
    """What one file asks for: dotted names that may be modules, packages of which all is taken, lines nobody can know.

    `texts` may be paths of files, from the project's root.
    """

    modules: frozenset[str]
    whole: frozenset[str]
    texts: frozenset[str]
    unknown: tuple[int, ...]


@lru_cache(maxsize=4096)
def asked_for(content: bytes, package: str, where: str) -> Names:
    """What a file asks for; kept by its content, so that an engine reads each file's code once."""
    tree = ast.parse(content, filename=where)
    reader = _Reader(package, _bound(tree, "importlib"), _bound(tree, "sys"))
    reader.visit(tree)
    unknown = tuple(sorted(reader.unknown))
    return Names(frozenset(reader.modules), frozenset(reader.whole), frozenset(reader.texts), unknown)


def _bound(tree: ast.AST, module: str) -> frozenset[str]:
    """The names under which a file has a module, or a part of it, wherever it imports it."""
    found = {module}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.asname for each in node.names if each.asname and each.name.split(".")[0] == module}
        elif isinstance(node, ast.ImportFrom) and node.module == module and not node.level:
            found |= {each.asname or each.name for each in node.names if each.name in _IMPORTLIB}
    return frozenset(found)


class _Reader(ast.NodeVisitor):
    """Collects names from one file's tree."""

    def __init__(self, package: str, loading: frozenset[str], system: frozenset[str]) -> None:
        self._package = package
        self._importlib = loading
        self._sys = system
        self.modules: set[str] = set()
        self.whole: set[str] = set()
        self.texts: set[str] = set()
        self.unknown: set[int] = set()

    def visit_Import(self, node: ast.Import) -> None:
        self.modules.update(each.name for each in node.names)
        renamed = any(each.asname and each.name in ("importlib", "importlib.util") for each in node.names)
        if renamed or any(each.name in _LOADERS for each in node.names):
            self.unknown.add(node.lineno)  # another file could take it from here under that name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        source = self._absolute(node.module or "", node.level)
        self.modules.add(source)
        for each in node.names:
            if each.name == "*":
                self.whole.add(source)
            else:
                self.modules.add(f"{source}.{each.name}")
            renamed = each.name in _IMPORTERS and each.asname not in (None, each.name)
            moves = source == "sys" and each.name in _WHERE_FROM
            loads = source in _LOADERS or f"{source}.{each.name}" in _LOADERS or each.name in _CODE_FROM_ELSEWHERE
            if renamed or moves or loads:
                self.unknown.add(node.lineno)

    def visit_If(self, node: ast.If) -> None:
        """What only a type checker imports is never run."""
        test = node.test.attr if isinstance(node.test, ast.Attribute) else getattr(node.test, "id", "")
        for each in node.orelse if test == "TYPE_CHECKING" else [node.test, *node.body, *node.orelse]:
            self.visit(each)

    def visit_Expr(self, node: ast.Expr) -> None:
        """A docstring names modules without needing them."""
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.modules.update(f"?{name}" for name in _STARTED.findall(node.value))
            if _DOTTED.fullmatch(node.value):
                self.modules.add(f"?{node.value}")  # it may be handed to whatever imports or starts it
            if len(node.value) <= _LONGEST_PATH and "." in node.value and node.value.isprintable():
                self.texts.add(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        """An importer, or importlib itself, that goes where nobody can follow."""
        if node.id in _REFUSED | _BUILT_IN or self._is_importlib(node):
            self.unknown.add(node.lineno)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """The same, and a program that changes where it imports from."""
        moves = node.attr in _WHERE_FROM and isinstance(node.value, ast.Name) and node.value.id in self._sys
        if moves or node.attr in _REFUSED or self._is_importlib(node):
            self.unknown.add(node.lineno)
        if not self._is_importlib(node.value):
            self.visit(node.value)
        elif node.attr.startswith("_"):
            self.unknown.add(node.lineno)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if any(_text(each) in _REFUSED for each in node.args):
            self.unknown.add(node.lineno)  # as in getattr(module, "import_module")
        if name in _IMPORTERS:
            self._called(node)
            for each in (*node.args, *node.keywords):
                self.visit(each)
        else:
            self.generic_visit(node)

    def _called(self, node: ast.Call) -> None:
        """An importer is called: with what it imports, or nobody can know."""
        found = _text(node.args[0]) if node.args else ""
        dots = len(found) - len(found.lstrip("."))
        others = [*node.args[1:], *(each.value if each.arg == "package" else each for each in node.keywords)]
        own = len(others) == 1 and getattr(others[0], "id", "") == "__package__"
        if found and (own or not (dots or others)):
            self.modules.add(self._absolute(found.lstrip("."), dots))
        else:
            self.unknown.add(node.lineno)

    def _is_importlib(self, node: ast.expr) -> bool:
        """Whether an expression is importlib, or one of its parts, as a whole."""
        if isinstance(node, ast.Name):
            return node.id in self._importlib
        if not isinstance(node, ast.Attribute):
            return False
        return node.attr == "importlib" or (node.attr in _IMPORTLIB and self._is_importlib(node.value))

    def _absolute(self, name: str, level: int) -> str:
        if not level:
            return name
        parts = self._package.split(".")
        base = parts[: len(parts) - level + 1]
        return ".".join([*base, *([name] if name else [])])


def _text(node: ast.expr) -> str:
    """A constant text; empty for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
