"""What a component is: a contract, the work, and the one way from inputs to outputs.

A component is a folder ``components/NAME/`` with ``contract.py`` (this module's :class:`Contract`, light to import),
``step.py`` (``run(inputs, context) -> Outputs``, may import anything it needs) and ``__main__.py`` (three lines).
In a manifest the inputs arrive as one JSON file and every output leaves through a file of its own, so nothing a
person typed ever meets a shell. This module knows neither Hera nor Argo nor any heavy library.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import errno
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from tiphys.errors import EXIT_RETRYABLE, PermanentError, TiphysError
from tiphys.settings import PROJECT, DebugSettings, RunSettings, load

INPUTS_FILE = Path("/tmp/tiphys/inputs.json")  # noqa: S108 - a path inside the step's own root
PARAMETERS_FOLDER = Path("/tmp/tiphys/outputs")  # noqa: S108
ARTIFACTS_FOLDER = Path("/tmp/tiphys/artifacts")  # noqa: S108

log = logging.getLogger("tiphys.step")


class StepInputs(BaseModel):
    """Base of a component's inputs: every field has a description; units stand in it.

    Argo hands every parameter over as text under its kebab-case name, so both are converted; lists and objects are
    JSON, an empty text stands for None where None is allowed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        named = {key.replace("-", "_"): value for key, value in data.items()}
        return {key: _from_text(value, cls.model_fields.get(key)) for key, value in named.items()}


class StepOutputs(BaseModel):
    """Base of a component's outputs: a ``Path`` field is an artifact (a file), any other a parameter."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def artifact(file: str, description: str, *, measured: bool = False) -> Any:
    """Declare an output artifact: the name of its file, what is in it, and whether that holds measurements (see `measured`)."""
    return Field(description=description, json_schema_extra={"file": file, **({"measured": True} if measured else {})})


def measured(description: str) -> Any:
    """Declare an output that is a measurement: another run of the same finds another figure of the same worth."""
    return Field(description=description, json_schema_extra={"measured": True})


def told(description: str, *, found: str) -> Any:
    """Declare an output that tells what this very run had to do; `found` is its text where nothing had to be done."""
    return Field(description=description, json_schema_extra={"told": found})


Kind = Literal["use-case", "s3-prefix", "s3-object", "s3-manifest", "dataset", "model", "mlflow-run", "image"]
"""What a text may name: see `Refers`."""
Surrounding = Literal["last-trained", "version-tags", "load-test-evidence", "staging", "triton", "gateway", "machine"]
"""What a step may look at, or leave behind, beside its inputs and outputs: see `Contract.looks_at`."""
Effects = Literal["pure", "measured", "external"]


@dataclass(frozen=True)
class Refers:
    """Says that a field's text names something elsewhere, as in ``dataset: Annotated[str, Refers("dataset")]``.

    The name of an input stands for what it names now: a tag or an alias may move, the objects below a prefix may change. What
    an output names must still be there, unchanged, when a kept result is used again.

    =============== ======================================================================================
    ``use-case``    a use case: its package's files
    ``s3-prefix``   ``s3://BUCKET/PREFIX/``: every object below it
    ``s3-object``   ``s3://BUCKET/KEY``, with or without ``#sha256=DIGEST``
    ``s3-manifest`` the same, a JSON document; and every ``uri`` in it
    ``dataset``     ``USE_CASE.TABLE@TAG``: the snapshot, of the table and of its rejects, and the files of both
    ``model``       ``models:/NAME/N`` or ``models:/NAME@ALIAS``: the version, its run, its weights
    ``mlflow-run``  id of a run of MLflow
    ``image``       an image by digest, in a registry or in S3
    =============== ======================================================================================
    """

    kind: Kind


@dataclass(frozen=True)
class Resources:
    """What a step asks for and the most it may take, in Kubernetes' units.

    The figures come from measured use, with the headroom that `bench/resources.py` states and checks.
    """

    cpu: str = "500m"
    memory: str = "512Mi"
    cpu_limit: str = "2"
    memory_limit: str = "1Gi"
    scratch: str = "64Mi"
    """Room in /tmp, the only place besides its outputs that a step may write to."""


@dataclass(frozen=True)
class Access:
    """The least that a component needs: S3 buckets, catalog role, servers' tokens, a registry's login, pods, the outside."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    catalog: Literal["", "read", "write"] = ""
    ray: bool = False
    ledger: Literal["", "read", "evidence", "staging", "canary", "production"] = ""
    """At the release ledger: read, also leave evidence, also release into that environment; ``production``: into all."""
    pods: bool = False
    """On a cluster it may make pods of its own, if the cluster lets its account ``tiphys-NAME`` do so."""
    registry: Literal["", "pull", "push"] = ""
    gateway: Literal["", "rider", "auditor", "tester", "admin"] = ""
    """What it may ask the gateway: as a user does, any environment, or its admin port and the agents', too."""
    audits: bool = False
    """Whether it also holds the key of the operator's own meters, whose outcomes are trusted."""
    governor: Literal["", "alert", "schedule", "person", "alertmanager", "claim"] = ""
    """What it may send the governor: alerts, a schedule's or a person's request for a training, Alertmanager's messages, the claim
    of a run that a yes started. All but the last two may read events and decisions, too."""
    signs: bool = False
    """Whether it signs passports."""
    outside: bool = False
    """Whether it reaches past the platform: git hosts, indexes of packages, Debian's mirror."""


@dataclass(frozen=True)
class Contract:
    """All that the outside must know of a component."""

    name: str
    summary: str
    inputs: type[StepInputs]
    outputs: type[StepOutputs]
    effects: Effects
    """``pure``: all that it does is named by its outputs or said in `leaves`, and follows from its code, its inputs and what it
    `looks_at`. ``measured``: the same, but some outputs are measurements of exactly that. ``external``: anything else."""
    access: Access = Access()
    resources: Resources = Resources()
    timeout: str = "10m"
    retries: int = 4
    root: str = ""
    """Why it cannot run as nobody, without privileges, as every other step does; the manifest shows it. Empty: it can."""
    looks_at: Mapping[Surrounding, str] = field(default_factory=dict)
    """What else decides what comes out -> the input that says whose: ``last-trained`` (the other version of this dataset's
    table that was trained on last), ``staging`` (what serves the use case there), ``triton``, ``gateway`` (the code and the
    processes that answer), ``machine`` (processors and memory)."""
    leaves: Mapping[Surrounding, str] = field(default_factory=dict)
    """What it leaves behind that no output names -> the input that says whose (an output of that name does where there is
    one): must be so still when its result is used
    again. ``version-tags``: the tags of a registered version, and the files that they have a digest of;
    ``load-test-evidence``: what the ledger was told of a load test of that manifest."""

    @property
    def template(self) -> str:
        """The component's name outside of Python: kebab-case."""
        return self.name.replace("_", "-")

    def parameters(self) -> dict[str, FieldInfo]:
        """The outputs that travel as parameters, by name."""
        return {name: each for name, each in self.outputs.model_fields.items() if each.annotation is not Path}

    def evidence(self) -> dict[str, Any]:
        """What the manifest says of a step beside its effects, so that a kept result can be proven: kebab-case names, no blanks."""
        inputs, outputs = self.inputs.model_fields, self.outputs.model_fields
        listed: dict[str, Any] = {
            "inputs": {_kebab(name): kind for name, each in inputs.items() if (kind := _refers(each))},
            "outputs": {_kebab(name): kind for name, each in outputs.items() if (kind := _refers(each))},
            "looks-at": {each: _kebab(name) for each, name in self.looks_at.items()},
            "leaves": {each: _kebab(name) for each, name in self.leaves.items()},
            "told": {
                _kebab(name): text for name, each in outputs.items() if (text := _extra(each).get("told")) is not None
            },
            "measured": [_kebab(name) for name, each in outputs.items() if _extra(each).get("measured")],
        }
        return {name: value for name, value in listed.items() if value}

    def artifacts(self) -> dict[str, str]:
        """The outputs that travel as files: name -> file name."""
        found = {}
        for name, each in self.outputs.model_fields.items():
            if each.annotation is Path:
                extra = typing.cast("dict[str, str]", each.json_schema_extra)
                found[name] = extra["file"]
        return found


class Context:
    """What a step is told of its surroundings, and where it puts its files."""

    def __init__(self, run: RunSettings, artifacts: Path, parameters: Path) -> None:
        """Make the context of one attempt; files go below the two folders."""
        self.run = run.run
        self.node = run.node
        self.attempt = int(run.attempt) if run.attempt.isdigit() else 0
        self._revision = run.revision
        self._artifacts = artifacts
        self._parameters = parameters

    @property
    def revision(self) -> str:
        """Git revision of the running code, with ``-dirty`` where the tree differs; ``unknown`` outside of git."""
        return self._revision or _git_revision()

    def artifact(self, file: str) -> Path:
        """Where the output artifact of that file name is to be written; its folder exists."""
        self._artifacts.mkdir(parents=True, exist_ok=True)
        return self._artifacts / file

    def publish(self, outputs: StepOutputs) -> None:
        """Write every output parameter to its file; a step may do so early, before it fails on purpose."""
        self._parameters.mkdir(parents=True, exist_ok=True)
        for name, value in outputs.model_dump(mode="json").items():
            if not isinstance(getattr(outputs, name), Path):
                text = value if isinstance(value, str) else json.dumps(value)
                (self._parameters / name).write_text(text, encoding="utf-8")


class Stopped(BaseException):
    """The step was told to end (SIGTERM or Ctrl-C): unwinds so that ``finally`` clauses clean up."""

    def __init__(self, signum: int) -> None:
        """Remember which signal it was."""
        super().__init__(signum)
        self.signum = signum


def main(contract: Contract) -> NoReturn:
    """Run the component ``contract`` belongs to from its command line, and exit as :mod:`tiphys.errors` says."""
    arguments = _parse(contract, sys.argv[1:])
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("tiphys").setLevel(logging.INFO)
    logging.getLogger("components").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    ended: list[int] = []
    atexit.register(_leave, ended)  # before the step imports anything that registers its own: the last to be called
    code = _attempt(contract, arguments)
    _let_go_of_a_full_log()
    ended.append(code)
    sys.exit(code)


def size(text: str) -> int:
    """Bytes of a quantity as ``256Mi`` or ``2Gi``."""
    return int(text[:-2]) * {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}[text[-2:]]


def cores(text: str) -> float:
    """Cores of a quantity as ``250m`` or ``2``."""
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


def contracts(package: str = "components") -> dict[str, Contract]:
    """Every component's contract, by name, in alphabetical order; imports no step."""
    folder = Path(importlib.import_module(package).__path__[0])
    names = sorted(each.parent.name for each in folder.glob("*/contract.py"))
    return {name: importlib.import_module(f"{package}.{name}.contract").CONTRACT for name in names}


def _attempt(contract: Contract, arguments: argparse.Namespace) -> int:
    try:
        inputs = _inputs(contract, arguments)
        context = Context(load(RunSettings), arguments.artifacts, arguments.outputs)
        run: Callable[[StepInputs, Context], StepOutputs]
        run = importlib.import_module(f"components.{contract.name}.step").run
        outputs = run(inputs, context)
        context.publish(outputs)
    except TiphysError as error:
        _say(f"error: {error}")
        _let_through_to_a_debugger()
        return error.exit_code
    except Stopped as stopped:
        _say("stopped")
        return 128 + stopped.signum
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return _defect(contract, error)
        _say(f"error: the disk is full ({error.filename or 'no path is given'}): free some, then try again")
        return EXIT_RETRYABLE
    except Exception as error:  # noqa: BLE001
        return _defect(contract, error)
    for name, value in outputs.model_dump(mode="json").items():
        log.info("%s: %s", name, value)
    return 0


def _defect(contract: Contract, error: Exception) -> int:
    """A defect is shown whole and never retried."""
    _let_through_to_a_debugger()
    first = (str(error).splitlines() or [""])[0]
    _say("".join(traceback.format_exception(error)))
    _say(f"defect in step {contract.template!r}: {type(error).__name__}: {first}")
    return 1


def _let_through_to_a_debugger() -> None:
    """Raise the exception that is being handled once more where a debugger waits for it."""
    if load(DebugSettings).post_mortem:
        raise  # noqa: PLE0704  # called by handlers only


def _say(text: str) -> None:
    """Write the step's last words; a log on a full disk does not change its exit code."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201


def _let_go_of_a_full_log() -> None:
    """Python exits with 120 whatever the code was when it cannot write out what it still holds."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _leave(ended: Sequence[int]) -> None:
    """End the process, after threads were joined and exit handlers called, without taking the interpreter apart.

    A thread of a C++ library that calls Python meanwhile (Arrow's do, to read ahead in a Python file) aborts the process:
    exit code 134 of a step that has done all of its work. Who catches the exit, as debuggers do, still gets it.
    """
    if ended:
        logging.shutdown()
        _let_go_of_a_full_log()
        os._exit(ended[-1])


def _parse(contract: Contract, argv: Sequence[str]) -> argparse.Namespace:
    example = f"example: python -m components.{contract.name} --inputs inputs.json"
    parser = argparse.ArgumentParser(
        prog=f"python -m components.{contract.name}", description=contract.summary, epilog=example
    )
    parser.add_argument("--inputs", type=Path, help="JSON object with the inputs; options given beside it win")
    parser.add_argument("--outputs", type=Path, default=PARAMETERS_FOLDER, help="folder for output parameters")
    parser.add_argument("--artifacts", type=Path, default=ARTIFACTS_FOLDER, help="folder for output artifacts")
    for name, each in contract.inputs.model_fields.items():
        text = (each.description or "").replace("%", "%%")
        default = "" if each.is_required() else f" (default: {each.default!r})".replace("%", "%%")
        parser.add_argument(f"--{name.replace('_', '-')}", dest=f"field_{name}", help=text + default)
    return parser.parse_args(argv)


def _inputs(contract: Contract, arguments: argparse.Namespace) -> StepInputs:
    values: dict[str, Any] = {}
    if arguments.inputs is not None:
        values = json.loads(arguments.inputs.read_text(encoding="utf-8"))
    for name in contract.inputs.model_fields:
        given = getattr(arguments, f"field_{name}")
        if given is not None:
            values[name] = given
    try:
        return contract.inputs.model_validate(values)
    except ValidationError as error:
        listed = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        message = f"inputs of step {contract.template!r} do not fit its contract: {listed}"
        raise PermanentError(message) from None


def _from_text(value: Any, field: FieldInfo | None) -> Any:
    if field is None or not isinstance(value, str):
        return value
    kinds = _kinds(field.annotation)
    if value == "" and type(None) in kinds:
        return None
    if str in kinds or not any(_is_structure(kind) for kind in kinds):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _refers(each: FieldInfo) -> str:
    return next((found.kind for found in each.metadata if isinstance(found, Refers)), "")


def _extra(each: FieldInfo) -> dict[str, Any]:
    return each.json_schema_extra if isinstance(each.json_schema_extra, dict) else {}


def _kinds(annotation: Any) -> tuple[Any, ...]:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return typing.get_args(annotation)
    return (annotation,)


def _is_structure(kind: Any) -> bool:
    origin = typing.get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, (list, tuple, dict, BaseModel))


def _stop(signum: int, _frame: types.FrameType | None) -> None:
    raise Stopped(signum)


def _git_revision() -> str:
    try:
        command = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
