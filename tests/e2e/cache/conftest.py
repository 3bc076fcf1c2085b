"""A small project of pure steps, an engine with the cache on it, and a count of how often each step really ran."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiphys.cache.door import Door
from tiphys.cache.store import LookUp, Store
from tiphys.engine import Engine, Image, Node, RunState

Json = dict[str, Any]

DOUBLE = """
import json, pathlib, sys
from shared import arithmetic
pathlib.Path(sys.argv[3]).open("a").write("double\\n")
number = arithmetic.double(int(sys.argv[1]))
out = pathlib.Path(sys.argv[2])
(out / "number").write_text(str(number))
(out / "report.txt").write_text(f"twice {sys.argv[1]} is {number}")
"""
NAME = """
import pathlib, sys
pathlib.Path(sys.argv[3]).open("a").write("name\\n")
out = pathlib.Path(sys.argv[2])
(out / "number").write_text(sys.argv[1])
(out / "report.txt").write_text("")
"""
"""Gives back what it was given: the name of something elsewhere."""
SQUARE = DOUBLE.replace("from shared import arithmetic", "import other.powers as arithmetic").replace(
    "double", "square"
)


@dataclass
class Project:
    """A folder of code, an engine, and what the steps left."""

    folder: Path
    engine: Engine
    ran: Path
    names: list[str] = field(default_factory=list)

    def write(self, path: str, text: str) -> None:
        """Put a file into the project."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def step(self, name: str, *, annotations: Mapping[str, str] | None = None, **container: Any) -> Json:
        """The template of a step: `python -m steps.NAME NUMBER`."""
        return {
            "name": name,
            "metadata": {"annotations": {"tiphys/effects": "pure", **(annotations or {})}},
            "inputs": {"parameters": [{"name": "number", "default": "21"}]},
            "outputs": {
                "parameters": [{"name": "number", "valueFrom": {"path": "/tmp/out/number"}}],
                "artifacts": [{"name": "report", "path": "/tmp/out/report.txt", "archive": {"none": {}}}],
            },
            "container": {
                "image": "tiphys/step:1",
                "command": ["python", "-m", f"steps.{name}"],
                "args": ["{{inputs.parameters.number}}", "/tmp/out", str(self.ran)],
                "env": [{"name": "TIPHYS_RUN", "value": "{{workflow.name}}"}],
                **container,
            },
        }

    def run(self, *templates: Json, entrypoint: str = "", cache: str = "on", **spec: Any) -> RunState:
        """Run the first template, or another, to its end."""
        workflow = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": "run-", "annotations": {"tiphys/cache": cache}},
            "spec": {"entrypoint": entrypoint or templates[0]["name"], "templates": list(templates), **spec},
        }
        document = yaml.safe_load(yaml.safe_dump(workflow))
        return self.engine.run(self.engine.submit([document]), handle_signals=False)

    def told(self, run: RunState, step: str = "") -> LookUp:
        """What the cache told of a step, or of the only one."""
        found = [each for each in Store(self.engine.state).look_ups(run.name) if step in ("", each.node)]
        return found[-1]

    def times(self, name: str = "") -> int:
        """How often steps have really run."""
        lines = self.ran.read_text().splitlines() if self.ran.exists() else []
        return len([line for line in lines if name in ("", line)])


def node(run: RunState, name: str = "") -> Node:
    """A step's node."""
    return next(each for each in run.nodes.values() if each.name.removeprefix(run.name) == name)


def number(run: RunState, name: str = "") -> str:
    """What a step gave."""
    return str((node(run, name).outputs or {})["parameters"][0]["value"])


def on_project(folder: Path, state: Path, home: Path) -> Project:
    """A project of two steps, each with a module of its own behind it."""
    environment = Path(sys.prefix).resolve()
    image = Image("tiphys/*", (str(environment / "bin"),), str(folder), {"PYTHONPATH": str(folder)})
    engine = Engine(
        state,
        images=[image],
        keep=[folder, state.parent, environment],
        cache=lambda run: Door(state, folder, home, run.annotations),
    )
    made = Project(folder, engine, state.parent / "ran")
    made.write("steps/__init__.py", "")
    made.write("steps/double.py", DOUBLE)
    made.write("steps/square.py", SQUARE)
    made.write("steps/name.py", NAME)
    made.write("shared/arithmetic.py", "def double(number):\n    return 2 * number\n")
    made.write("other/powers.py", "def square(number):\n    return number * number\n")
    return made


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small project, nothing kept of it yet."""
    return on_project(tmp_path / "project", tmp_path / "state", tmp_path / "home")


@pytest.fixture
def evidence() -> Callable[..., dict[str, str]]:
    """``evidence(inputs={...})`` is the annotation that says so."""
    return lambda **said: {"tiphys/evidence": json.dumps({name.replace("_", "-"): each for name, each in said.items()})}
