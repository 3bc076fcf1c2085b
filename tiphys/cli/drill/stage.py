"""A stack of the rehearsal's own, driven as a person would: by the command line, and by the doors of its servers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from tiphys.cli.drill.story import LinkError
from tiphys.errors import PermanentError
from tiphys.settings import OUTSIDE, StackSettings, load, surroundings

Group = TypeVar("Group")
Json = dict[str, Any]

_BASES = range(1000, 20_000, 200)
"""Where a free row of ports is looked for, counted from the person's own."""
_LAST_PORT = 32_000
"""Above it the kernel hands ports out."""
_SHOWN = 25
MARK = "drill"
"""Says that a folder is a rehearsal's state, and so may be thrown away."""


class Stage:
    """One stack with its state folder."""

    def __init__(self, settings: StackSettings, speed: float) -> None:
        """Nothing runs yet; the governor's clock will run ``speed`` times faster."""
        self.settings = settings
        self._environment = {
            **surroundings("PATH", "HOME", "TMPDIR", "LANG", *OUTSIDE),
            "JAVA_HOME": settings.java_home,
            "TIPHYS_HOME": str(settings.home),
            "TIPHYS_PORT_BASE": str(settings.port_base),
            "TIPHYS_GOVERNOR_SPEED": f"{speed:g}",
        }

    @classmethod
    def make(cls, own: StackSettings, speed: float) -> Stage:
        """Make a stage beside a person's own stack: an empty folder, free ports, the jars that are there.

        Raises:
            PermanentError: a folder is in the way that no rehearsal made, or no row of ports is free.
        """
        home = own.home / MARK
        if home.exists() and not (home / MARK).exists():
            message = f"{home} is in the way, and no rehearsal made it: move it away"
            raise PermanentError(message)
        stage = cls(StackSettings(home=home, port_base=_free(own.port_base), java_home=own.java_home), speed)
        if home.exists():
            cls(_left(home, own), speed).cli("down")
            shutil.rmtree(home)
        home.mkdir(parents=True)
        (home / MARK).write_text(f"{stage.settings.port_base}\n", encoding="utf-8")
        _lend(own.home / "jars", home / "jars")
        return stage

    def cli(self, *words: str, code: int | None = 0, within: float | None = None) -> str:
        """Run a command to its end, at most ``within`` seconds; what it printed. ``code`` None takes any.

        Raises:
            LinkError: it ended otherwise; says how, with the end of what it printed.
        """
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                [sys.executable, "-m", "tiphys", *words], env=self._environment, cwd=self.settings.project, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=within,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            message = f"`tiphys {' '.join(words)}` has not ended after {error.timeout:.0f} s"
            raise LinkError(message) from error
        if code is not None and done.returncode != code:
            end = "\n        ".join(done.stdout.splitlines()[-_SHOWN:])
            message = f"`tiphys {' '.join(words)}` ended with {done.returncode}, not {code}:\n        {end}"
            raise LinkError(message)
        return done.stdout

    def run(self, workflow: str, parameters: Mapping[str, str], *words: str, code: int | None = 0) -> Json:
        """Run a workflow to its end; its summary.

        Raises:
            LinkError: it ended otherwise.
        """
        with tempfile.TemporaryDirectory() as folder:
            summary = Path(folder) / "summary.json"
            given = [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]
            self.cli("run", workflow, *given, *words, "--summary", str(summary), code=code)
            found: Json = json.loads(summary.read_text(encoding="utf-8"))
        return found

    def settings_of(self, group: type[Group], principal: str) -> Group:
        """Settings as a component or person of that stack has them."""
        return load(group, self.environment(principal))

    def environment(self, principal: str) -> dict[str, str]:
        """What that stack tells a component or person."""
        from tiphys.stack import environment
        from tiphys.step import contracts

        return environment(self.settings, contracts(), principal)

    def down(self) -> None:
        """Stop its servers; its state stays, to be looked at."""
        self.cli("down", code=None)


def outputs(summary: Json) -> dict[str, str]:
    """Exported outputs of a run."""
    found: dict[str, str] = (summary.get("outputs") or {}).get("parameters") or {}
    return found


def failed_step(summary: Json) -> tuple[str, str]:
    """Name and message of the step that ended a run; empty where none did."""
    for node in summary["nodes"]:
        if node["phase"] in {"Failed", "Error"} and node.get("type", "Pod") == "Pod":
            return str(node["displayName"]).partition("(")[0], str(node.get("message", ""))
    return "", ""


def _lend(jars: Path, into: Path) -> None:
    """Let the stage have Spark's jars in its own folder, without their bytes where that can be: steps see no other state."""
    into.mkdir()
    for each in jars.glob("*.jar"):
        try:
            (into / each.name).hardlink_to(each.resolve())
        except OSError:
            shutil.copy(each, into / each.name)


def _left(home: Path, own: StackSettings) -> StackSettings:
    text = (home / MARK).read_text(encoding="utf-8").strip()
    return StackSettings(home=home, port_base=int(text) if text.isdigit() else own.port_base, java_home=own.java_home)


def _free(base: int) -> int:
    from tiphys.stack.ports import Ports, is_taken

    for offset in _BASES:
        if base + offset < _LAST_PORT and not any(is_taken(port) for port in Ports(base + offset).every()):
            return base + offset
    message = f"no 100 free ports in a row above {base}: set TIPHYS_PORT_BASE to another place"
    raise PermanentError(message)
