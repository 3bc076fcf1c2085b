"""What a person names on the command line as documents: files, standard input, workflows of this project or installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiphys.engine import Engine
    from tiphys.engine.linting.lines import Lines

Json = dict[str, Any]
RENDERED = Path("workflows") / "rendered"
STDIN = "-"
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Submission:
    """One Workflow with what comes beside it, or the name of the WorkflowTemplate to run; neither: only to install."""

    documents: list[Json]
    template: str = ""

    @property
    def runs(self) -> bool:
        """Whether there is something to run."""
        return bool(self.template) or any(document["kind"] == "Workflow" for document in self.documents)


@dataclass(frozen=True)
class Overrides:
    """What the command line says of a Workflow beside its parameters."""

    entrypoint: str = ""
    generate_name: str = ""
    labels: str = ""
    cache: str = ""
    """The annotation that says how the run uses the cache."""


def read_documents(source: str) -> list[Json]:
    """The documents of a file, or of standard input for `-`. Raises ManifestError."""
    from tiphys.engine import load_file, load_text

    return load_text(sys.stdin.read(), "standard input") if source == STDIN else load_file(Path(source))


def read_source(source: str) -> list[tuple[Json, Lines | None]]:
    """The documents of a file, or of standard input for `-`, each with its lines where they are known. Raises ManifestError."""
    from tiphys.engine import load_text
    from tiphys.engine.linting.lines import lines_of
    from tiphys.engine.load import read_text

    text = sys.stdin.read() if source == STDIN else read_text(Path(source))
    documents = load_text(text, "standard input" if source == STDIN else source)
    lines = lines_of(text)
    return [
        (document, lines[index] if len(lines) == len(documents) else None) for index, document in enumerate(documents)
    ]


def submissions(sources: list[str], project: Path, engine: Engine) -> list[Submission]:
    """What to run, one after the other. Raises ManifestError."""
    from tiphys.engine import ManifestError

    documents: list[Json] = []
    template = ""
    for source in sources:
        if is_file(source):
            documents += read_documents(source)
        elif len(sources) > 1:
            msg = f"{source!r} is no file: give several files, or one workflow's name"
            raise ManifestError(msg)
        else:
            documents, template = _named(source, project, engine)
    if template:
        return [Submission(documents, template)]
    return list(_split(documents))


def is_file(source: str) -> bool:
    """Whether a person means a file, or standard input, by `source`."""
    return source == STDIN or source.endswith(_SUFFIXES) or "/" in source or Path(source).is_file()


def _named(name: str, project: Path, engine: Engine) -> tuple[list[Json], str]:
    from tiphys.cli.kept import as_paused
    from tiphys.engine import ManifestError, load_file

    rendered = project / RENDERED / f"{name}.yaml"
    if rendered.is_file():
        documents = [as_paused(engine, document) for document in load_file(rendered)]
        names = [_name_of(document) for document in documents if document["kind"] == "WorkflowTemplate"]
        return documents, name if name in names else ""
    if engine.objects.get("WorkflowTemplate", name) is not None:
        return [], name
    own = [file.stem for file in rendered.parent.glob("*.yaml")]
    known = ", ".join(sorted({*own, *engine.objects.names("WorkflowTemplate")})) or "none yet"
    msg = f"no workflow {name!r} (known: {known}): give one of these names, or a file ending in .yaml"
    raise ManifestError(msg)


def _split(documents: list[Json]) -> Iterator[Submission]:
    workflows = [document for document in documents if document["kind"] == "Workflow"]
    if len(workflows) > 1:
        beside = [document for document in documents if document["kind"] != "Workflow"]
        for workflow in workflows:
            yield Submission([workflow, *beside])
        return
    templates = [document for document in documents if document["kind"] == "WorkflowTemplate"]
    started_by_others = any(document["kind"] in ("CronWorkflow", "WorkflowEventBinding") for document in documents)
    alone = not workflows and not started_by_others and len(templates) == 1 and _starts(templates[0])
    yield Submission(documents, _name_of(templates[0]) if alone else "")


def _name_of(document: Json) -> str:
    """The object's name; empty if it has none, or nothing of a name's shape: whoever takes the document refuses it."""
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _starts(document: Json) -> bool:
    """Whether a WorkflowTemplate says with which template to start; one that does not is a library."""
    spec = document.get("spec")
    return isinstance(spec, dict) and bool(spec.get("entrypoint"))


def single(source: str) -> Submission:
    """The one Workflow of a file for a server, with nothing beside it. Raises ManifestError."""
    from tiphys.engine import ManifestError

    documents = read_documents(source)
    workflows = [document for document in documents if document["kind"] == "Workflow"]
    others = sorted({document["kind"] for document in documents} - {"Workflow"})
    if len(workflows) != 1:
        msg = f"{source} holds {len(workflows)} Workflows: give a file with one"
        raise ManifestError(msg + (f" (`tiphys install {source}` takes {', '.join(others)})" if others else ""))
    if others:
        msg = f"{source} holds {', '.join(others)} beside its Workflow, which a submission cannot carry: "
        raise ManifestError(msg + "put templates there with `tiphys install`, anything else with kubectl, first")
    return Submission(workflows)


def overridden(submission: Submission, overrides: Overrides, *, always: bool = False) -> Submission:
    """The submission with the command line's say in its Workflow; `always` one that holds a Workflow. Raises ManifestError."""
    if overrides == Overrides() and not always:
        return submission
    workflow = next((each for each in submission.documents if each["kind"] == "Workflow"), None)
    others = [each for each in submission.documents if each is not workflow]
    if submission.template or workflow is None:
        workflow = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": f"{submission.template}-"},
            "spec": {"workflowTemplateRef": {"name": submission.template}},
        }
    metadata = dict(workflow.get("metadata") or {})
    if overrides.cache:
        from tiphys.cache.mode import ANNOTATION

        metadata["annotations"] = {**(metadata.get("annotations") or {}), ANNOTATION: overrides.cache}
    metadata["labels"] = {**(metadata.get("labels") or {}), **parse_labels(overrides.labels)}
    if overrides.generate_name:
        metadata.pop("name", None)
        metadata["generateName"] = overrides.generate_name
    spec = dict(workflow.get("spec") or {})
    if overrides.entrypoint:
        spec["entrypoint"] = overrides.entrypoint
    return Submission([{**workflow, "metadata": metadata, "spec": spec}, *others])


def parse_labels(text: str) -> dict[str, str]:
    """`KEY=VALUE,KEY=VALUE` as a mapping. Raises ManifestError."""
    from tiphys.engine import ManifestError

    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, separator, value = part.partition("=")
        if not separator or not key:
            msg = f"label {part!r}: write KEY=VALUE"
            raise ManifestError(msg)
        found[key] = value
    return found


def parse_parameters(pairs: list[str], file: Path | None = None) -> dict[str, str]:
    """Parameters of the file, then of the command line. Raises ManifestError."""
    from tiphys.engine import ManifestError, load_parameters

    values = load_parameters(file) if file else {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            msg = f"-p {pair}: write NAME=VALUE"
            raise ManifestError(msg)
        values[name] = value
    for name, value in values.items():
        if "{{" in value:
            msg = f"-p {name}: the value holds '{{{{', which would be filled in once more: leave it out"
            raise ManifestError(msg)
    return values
