"""One step, in the process that watches over it: files in, the program, files out."""

import os
from collections.abc import Callable
from typing import Any

from tiphys.engine.launcher import containers, files, program

Json = dict[str, Any]
Tell = Callable[[Json], None]


def run(spec: Json, tell: Tell) -> Json:
    """Do what `spec` says; the report: `{"exit": N}`, or `{"error": TEXT}` when the step could not be started.

    `tell` hears what becomes of each container of a pod while it runs.
    """
    try:
        if not spec["private"]:
            for entry in spec["collect"]:
                files.guard(spec, entry["path"])
                files.remove(entry["path"])
        for entry in spec["files"]:
            files.place(spec, entry)
        for folder in spec["folders"]:
            os.makedirs(folder, exist_ok=True)
    except OSError as error:
        return {"error": f"the step's files can't be put in place: {error}"}
    report = containers.supervise(spec, tell) if "containers" in spec else program.supervise(spec)
    try:
        for entry in spec["collect"]:
            files.collect(entry, spec["limit"])
    except OSError as error:
        report.setdefault("error", f"the step's outputs can't be read: {error}")
    if not spec["private"]:
        for entry in (*spec["files"], *spec["collect"]):
            files.clear(entry["path"])
    return report
