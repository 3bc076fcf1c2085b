"""One step, in the process that watches over it: files in, the program, files out."""

import os
from collections.abc import Callable
from typing import Any

from tiphys.engine.launcher import bundle, containers, files, program

Json = dict[str, Any]
Tell = Callable[[Json], None]


def run(spec: Json, tell: Tell) -> Json:
    """Do what `spec` says; the report: `{"exit": N}`, or `{"error": TEXT}` when the step could not be started.

    `tell` hears what becomes of each container of a pod while it runs.
    """
    try:
        _put_files(spec)
    except OSError as error:
        return {"error": f"the step's files can't be put in place: {error}"}
    report = _in_images(spec, tell) if "bundles" in spec else _supervise(spec, tell)
    try:
        _collect(spec)
    except OSError as error:
        report.setdefault("error", f"the step's outputs can't be read: {error}")
    if not spec["private"]:
        for entry in (*spec["files"], *spec["collect"]):
            files.clear(entry["path"])
    return report


def _put_files(spec: Json) -> None:
    if not spec["private"]:
        for entry in spec["collect"]:
            files.guard(spec, entry["path"])
            files.remove(entry["path"])
    for entry in spec["files"]:
        files.place(spec, entry)
    for folder in spec["folders"]:
        os.makedirs(folder, exist_ok=True)


def _collect(spec: Json) -> None:
    for entry in spec["collect"]:
        files.collect(entry, spec["limit"])
    for each in spec.get("bundles", ()):
        bundle.collect(each, spec["limit"])


def _supervise(spec: Json, tell: Tell) -> Json:
    return containers.supervise(spec, tell) if "containers" in spec else program.supervise(spec)


def _in_images(spec: Json, tell: Tell) -> Json:
    """The same for containers: made ready first, and what the runtime has to say afterwards."""
    bundles = {each["name"]: each for each in spec["bundles"]}
    missing = {}
    try:
        for name, each in bundles.items():
            missing[name] = bundle.prepare(each)
    except OSError as error:
        spec["bundles"] = []
        return {"error": f"the container can't be made ready: {error}"}
    for each in spec.get("containers", ()):
        each["missing"] = missing.get(each["name"], "")
    if "containers" not in spec and missing["main"]:
        return {"exit": program.MISSING_PROGRAM, "message": missing["main"]}
    report = _supervise(spec, tell)
    if "containers" not in spec:
        report["oom"] = bundle.oom_killed(bundles["main"])
    failures = {name: text for name, each in bundles.items() if (text := bundle.failure(each))}
    if failures:
        report["error"] = "; ".join(failures.values())
        if "containers" not in report:
            del report["exit"]
    return report
