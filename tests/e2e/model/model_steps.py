"""Start a component as the engine does, and read what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tiphys.settings import PROJECT

if TYPE_CHECKING:
    from conftest import Stack


def start(  # noqa: PLR0913, PLR0917 - all that a step is told
    stack: Stack, component: str, folder: Path, run: str, attempt: int, inputs: Mapping[str, Any]
) -> subprocess.Popen[str]:
    """Start a component with its own Secret and nothing else of this environment."""
    folder.mkdir(parents=True)
    (folder / "inputs.json").write_text(json.dumps(inputs), encoding="utf-8")
    told = {"TIPHYS_RUN": run, "TIPHYS_NODE": f"{run}-{component}", "TIPHYS_ATTEMPT": str(attempt)}
    command = [sys.executable, "-m", f"components.{component}", "--inputs", str(folder / "inputs.json")]
    command += ["--outputs", str(folder / "outputs"), "--artifacts", str(folder / "artifacts")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **stack.environment(component), **told}
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def outputs_in(folder: Path) -> dict[str, Any]:
    """Output parameters that a step wrote; what is JSON is parsed."""
    found = {}
    for each in sorted((folder / "outputs").glob("*")) if (folder / "outputs").is_dir() else []:
        text = each.read_text(encoding="utf-8")
        try:
            found[each.name] = json.loads(text)
        except ValueError:
            found[each.name] = text
    return cast("dict[str, Any]", found)
