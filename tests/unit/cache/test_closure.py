"""Every file that a module may import is part of what it is made of; a file that it may not is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.closure import closure
from tiphys.settings import PROJECT

pytestmark = pytest.mark.unit


def write(folder: Path, files: dict[str, str]) -> Path:
    """A project of these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


FORMS = {
    "import a.b.c": {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"},
    "import a.b.c as other": {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"},
    "from a.b import c": {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"},
    "from a.b.c import thing": {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"},
    "from a.b import *": {"a/__init__.py", "a/b/__init__.py", "a/b/c.py", "a/b/d.py"},
    "def f():\n    if True:\n        import a": {"a/__init__.py"},
    "try:\n    import a.b\nexcept ImportError:\n    pass": {"a/__init__.py", "a/b/__init__.py"},
    "import importlib\nimportlib.import_module('a.b.c')": {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"},
    "from importlib import import_module\nimport_module('a.b')": {"a/__init__.py", "a/b/__init__.py"},
    "__import__('a')": {"a/__init__.py"},
    "COMMAND = 'python -m a.b.c --now'": {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"},
    "COMMAND = ['python', '-m', 'a.b']": {"a/__init__.py", "a/b/__init__.py"},
    "JOB = f'python -m a.b.c {1}'": {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"},
    "from . import sibling": {"sibling.py"},
    "import importlib\nimportlib.import_module('.sibling', __package__)  # from .": {"sibling.py"},
    "import importlib\nimportlib.import_module('.sibling', package=__package__)  # from .": {"sibling.py"},
    '"""Says import a and a.b, needs neither."""': set(),
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\nelse:\n    import a.b": {
        "a/__init__.py",
        "a/b/__init__.py",
    },
    "import typing\nif typing.TYPE_CHECKING:\n    import a": set(),
}


@pytest.mark.parametrize("source", FORMS)
def test_every_form_of_an_import_is_found(tmp_path: Path, source: str) -> None:
    """At any depth, by name or by text, for packages, modules and what is within."""
    names = ("a/__init__.py", "a/b/__init__.py", "a/b/c.py", "a/b/d.py", "sibling.py")
    if "from ." in source:
        write(tmp_path, {"p/__init__.py": "", "p/main.py": source, "p/sibling.py": ""})
        assert set(closure(["p.main"], tmp_path).files) == {"p/__init__.py", "p/main.py", "p/sibling.py"}
        return
    write(tmp_path, {"main.py": source, **dict.fromkeys(names, "")})
    assert set(closure(["main"], tmp_path).files) == {"main.py", *FORMS[source]}


UNKNOWN = [
    "import importlib\nimportlib.import_module(name)",
    "import importlib\nimportlib.import_module()",
    "import importlib\nimportlib.import_module(*names)",
    "import importlib\nimportlib.import_module(name='a.b')",
    "import importlib\nimportlib.import_module(name=expression)",
    "import importlib\nimportlib.import_module('a', **more)",
    "import importlib\nimportlib.import_module('.b', package='a')",
    "import importlib\nimportlib.import_module('.b', 'a')",
    "import importlib\nimportlib.import_module('.b')",
    "import importlib\nload = importlib.import_module; load(name)",
    "import importlib\nlist(map(importlib.import_module, names))",
    "from importlib import import_module\nlist(map(import_module, names))",
    "from importlib import import_module as load",
    "from importlib import import_module\nload = import_module",
    "from functools import partial\nfrom importlib import import_module\npartial(import_module, name)()",
    "import importlib\ngetattr(importlib, 'import_' + 'module')(name)",
    "import importlib as il\ngetattr(il, text)(name)",
    "import importlib\nimportlib.__dict__['import_module'](name)",
    "def f():\n    vars(importlib)[text](name)\n\nimport importlib",
    "import importlib\nother = importlib",
    "import importlib as other",
    "import importlib.util as other",
    "import importlib.util\ngetattr(importlib.util, text)",
    "from importlib import util as other\ngetattr(other, text)",
    "import other\ngetattr(other, 'import_module')(name)",
    "import other\ngetattr(other.importlib, text)(name)",
    "from other import import_module as load",
    "__import__(name)",
    "__import__('a.b', fromlist=['c'])",
    "__import__('b', globals(), locals(), [], 1)",
    "load = __import__",
    "import builtins\nbuiltins.__import__(name)",
    "from builtins import __import__ as load",
    "__builtins__['__import__'](name)",
    "import runpy\nrunpy.run_path('x.py')",
    "import runpy as other\nother.run_module('a.b')",
    "from runpy import run_module as other",
    "import pkgutil\n[each.name for each in pkgutil.iter_modules(path)]",
    "from pkgutil import walk_packages",
    "import pkgutil\npkgutil.resolve_name('a.b:c')",
    "import importlib.util as other\nother.spec_from_file_location('a', 'b')",
    "from importlib.util import spec_from_file_location as spec",
    "from importlib.util import module_from_spec",
    "from importlib.machinery import SourceFileLoader as Loader",
    "import importlib.machinery\nimportlib.machinery.SourceFileLoader('a', 'b')",
    "from importlib import machinery",
    "import importlib\nimportlib.util.find_spec('a').loader.load_module()",
    "import importlib.metadata\nimportlib.metadata.entry_points(group='x')",
    "from importlib.metadata import entry_points",
    "from importlib import metadata\n[each.entry_points for each in metadata.distributions()]",
    "import pkg_resources\npkg_resources.iter_entry_points('x')",
    "import importlib\nimportlib._bootstrap._gcd_import(name)",
    "from importlib import _bootstrap",
    "import zipimport\nzipimport.zipimporter('x')",
    "exec(text)",
    "run = eval",
    "import builtins\nbuiltins.exec(text)",
    "__loader__.load_module('a')",
]


@pytest.mark.parametrize("source", UNKNOWN)
def test_an_import_under_a_name_that_only_a_run_knows_is_told(tmp_path: Path, source: str) -> None:
    """With file and line; nobody may be sure of this program."""
    write(tmp_path, {"main.py": source, "a/__init__.py": "", "a/b.py": "", "other.py": ""})
    told = closure(["main"], tmp_path).unknown
    assert told
    assert set(told) <= {f"main.py:{line}" for line in range(1, source.count("\n") + 2)}


@pytest.mark.parametrize(
    "source",
    [
        "import importlib.metadata\nimportlib.metadata.version(name)",
        "from importlib import metadata\nmetadata.version(name)",
        "import importlib.util\nimportlib.util.find_spec(name)",
        "import importlib.resources\nimportlib.resources.files('a')",
        "model.eval()\nsession.exec(query)",
        "NAMES = {'import_module', 'run_path'}",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from importlib.machinery import ModuleSpec",
    ],
)
def test_what_only_looks_is_not(tmp_path: Path, source: str) -> None:
    """Versions, places and data of what is installed; methods of such a name; texts."""
    write(tmp_path, {"main.py": source, "a/__init__.py": ""})
    assert closure(["main"], tmp_path).unknown == ()


def test_a_package_counts_with_all_that_is_in_its_folder(tmp_path: Path) -> None:
    """Modules that it starts by name, and data, at any depth; caches of bytecode do not."""
    write(
        tmp_path,
        {
            "p/__init__.py": "",
            "p/job.py": "",
            "p/deep/data.json": "",
            "p/deep/x.py": "",
            "p/__pycache__/x.pyc": "",
            "q.py": "",
        },
    )
    assert set(closure(["p"], tmp_path).files) == {"p/__init__.py", "p/job.py", "p/deep/data.json", "p/deep/x.py"}


def test_data_beside_imported_code_counts(tmp_path: Path) -> None:
    """In its folder and in folders below that hold no code."""
    write(
        tmp_path,
        {
            "main.py": "import lib.a", "lib/__init__.py": "", "lib/a.py": "", "lib/table.toml": "", "lib/tables/x.csv": "",
            "lib/other/b.py": "", "lib/other/x.csv": "",
        },
    )  # fmt: skip
    assert set(closure(["main"], tmp_path).files) == {
        "main.py", "lib/__init__.py", "lib/a.py", "lib/table.toml", "lib/tables/x.csv",
    }  # fmt: skip


def test_modules_in_a_circle_are_each_read_once(tmp_path: Path) -> None:
    """It ends."""
    write(tmp_path, {"a.py": "import b", "b.py": "import a"})
    assert set(closure(["a"], tmp_path).files) == {"a.py", "b.py"}


def test_libraries_are_told_by_name(tmp_path: Path) -> None:
    """Python's own are none."""
    write(tmp_path, {"main.py": "import json, numpy.linalg\nfrom pyarrow import parquet"})
    assert closure(["main"], tmp_path).external == {"numpy", "pyarrow"}


NAMES = [f"m{index}" for index in range(6)]


@given(
    edges=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=12),
    root=st.sampled_from(NAMES),
    edited=st.sampled_from(NAMES),
)
def test_an_edit_changes_the_digest_exactly_if_the_file_can_be_reached(
    tmp_path_factory: pytest.TempPathFactory, edges: list[tuple[str, str]], root: str, edited: str
) -> None:
    """For any graph of imports."""
    folder = tmp_path_factory.mktemp("project")
    write(folder, {f"{name}.py": "".join(f"import {b}\n" for a, b in edges if a == name) for name in NAMES})
    reached, waiting = set(), [root]
    while waiting:
        if (name := waiting.pop()) not in reached:
            reached.add(name)
            waiting += [b for a, b in edges if a == name]
    before = closure([root], folder)
    assert set(before.files) == {f"{name}.py" for name in reached}
    with (folder / f"{edited}.py").open("a") as file:
        file.write("# edited\n")
    assert (closure([root], folder).digest != before.digest) == (edited in reached)


@pytest.mark.parametrize("step", ["ingest", "etl", "check_data", "train", "evaluate", "export", "package", "load_test"])
def test_every_cached_component_of_this_project_can_be_read_whole(step: str) -> None:
    """Nothing of it is imported under a name that only a run knows, and its own folder and the step's runner are in it."""
    found = closure([f"components.{step}"], PROJECT, ["usecases.taxi_eta"])
    assert found.unknown == ()
    assert {f"components/{step}/step.py", "tiphys/step.py", "tiphys/errors.py", "usecases/taxi_eta/features.py"} <= set(
        found.files
    )
    assert not [path for path in found.files if path.startswith(("tiphys/engine", "tiphys/cli", "workflows"))]


def test_a_file_that_the_code_names_from_the_projects_root_counts(tmp_path: Path) -> None:
    """As in `PROJECT / "jars.lock"`."""
    source = f"LOCK = ROOT / 'jars.lock'\nOTHER = 'no such.file', '/etc/hostname', '../{tmp_path.name}/main.py', '.'"
    write(tmp_path, {"main.py": source, "jars.lock": ""})
    assert set(closure(["main"], tmp_path).files) == {"main.py", "jars.lock"}


def test_compiled_modules_count_by_their_bytes(tmp_path: Path) -> None:
    """Beside a package's code, or alone in a folder."""
    write(
        tmp_path, {"main.py": "import fast.inner\nimport alone", "fast/inner.cpython-311.so": "", "alone.abi3.so": ""}
    )
    assert set(closure(["main"], tmp_path).files) == {"main.py", "fast/inner.cpython-311.so", "alone.abi3.so"}


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nsys.path.insert(0, '/elsewhere')",
        "import sys as s\ns.path.insert(0, '/elsewhere')",
        "pass\nfrom sys import path",
        "import site\nsite.addsitedir('/elsewhere')",
        "import importlib\nimportlib.import_module('.x', PACKAGE)",
    ],
)
def test_a_program_that_changes_where_it_imports_from_is_told(tmp_path: Path, source: str) -> None:
    """Nobody may be sure of it either."""
    write(tmp_path, {"main.py": source})
    assert closure(["main"], tmp_path).unknown == ("main.py:2",)
