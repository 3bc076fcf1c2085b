"""The engine as others use it: submit, run to the end, resume, look at, stop."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import os
import random
import shutil
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.engine.artifacts import ArtifactStore, FolderStore
from tiphys.engine.driver import Driver, Listener, interrupted_by_signals, watch_processes
from tiphys.engine.errors import EngineError, JournalDamagedError, ManifestError, RunChangedError, UnknownRunError
from tiphys.engine.executor import Surroundings, Workshop, can_make_private_roots, log_path
from tiphys.engine.images import Image, ImageTable, load_images, machine_images
from tiphys.engine.inotify import Waker, wake
from tiphys.engine.journal import Journal, Summary
from tiphys.engine.lock import ALL_RUNS, StateLock, is_held, read_holder, refuse_if_held, wait_for_leftovers
from tiphys.engine.merge import effective_spec, set_parameters
from tiphys.engine.nodes import PENDING, Node
from tiphys.engine.objects import KINDS, ObjectStore
from tiphys.engine.run_state import RunState
from tiphys.engine.shapes import check_run_name, check_shape
from tiphys.engine.unpack import NORMAL, Limits

if TYPE_CHECKING:
    from tiphys.engine.cache import StepCache
    from tiphys.engine.oci.storage import Storage

Json = dict[str, Any]
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def ignore(_run: RunState, _changed: Sequence[Node]) -> None:
    """A listener that does nothing."""


_LATER = 60.0  # seconds after which a run is looked at again whose artifacts could not be deleted
_FRAMES = 5000  # a hundred templates inside each other, Argo's limit, are twelve frames of Python each


class Engine:
    """A state folder and what its steps need. Reads no environment: every setting is an argument."""

    def __init__(  # noqa: PLR0913
        self,
        state: Path,
        *,
        images: Iterable[Image] = (),
        image_file: Path | None = None,
        containers: Iterable[str] = (),
        store: ArtifactStore | None = None,
        keep: Iterable[Path] = (),
        private: bool | None = None,
        namespace: str = "default",
        slots: int = 0,
        limits: Limits = NORMAL,
        cache: Callable[[RunState], StepCache | None] = lambda _run: None,
    ) -> None:
        """`images` go before those of this machine, those of `image_file` (TOML, see `load_images`) before them.

        That file is read whenever it is needed. `keep` are folders that steps must see, such as the checkout.

        `containers` are shell patterns: steps of new runs whose image matches one run in it, as containers.

        `slots` is how many steps may run at once (0: four for each core, at least eight); the rest wait as Pending.
        `limits` bound what an archive may become when it is opened, and what a step may give as one output.
        `cache` gives a run the cache that its steps are asked of, if any.
        `private`: whether steps get a root of their own; None asks the kernel.
        """
        self.state = state.absolute()
        self._images = [*images, *machine_images()]
        self._image_file = image_file
        self._containers = list(containers)
        self.objects = ObjectStore(self.state)
        self._store = store or FolderStore(self.state / "artifacts")
        self._keep = tuple(str(path.absolute()) for path in keep)
        self._private = private
        self._namespace = namespace
        self._slots = slots or max(8, 4 * (os.cpu_count() or 1))
        self._limits = limits
        self._cache = cache
        self._journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """The journal, opened when it is first needed."""
        if self._journal is None:
            self._journal = Journal(self.state)
        return self._journal

    def apart(self) -> Engine:
        """The same engine with a journal connection of its own, for another thread."""
        other = copy.copy(self)
        other._journal = None  # noqa: SLF001  # it is one of us
        return other

    @property
    def namespace(self) -> str:
        """Where runs and objects are that name no namespace."""
        return self._namespace

    @property
    def store(self) -> ArtifactStore:
        """Where artifacts are kept."""
        return self._store

    def apply(self, documents: Iterable[Json]) -> None:
        """Put ConfigMaps, Secrets and WorkflowTemplates into the engine's store."""
        for document in documents:
            if document.get("kind") in KINDS:
                self.objects.apply(document)

    def submit(
        self, documents: list[Json], *, template: str = "", parameters: Mapping[str, str] | None = None, name: str = ""
    ) -> str:
        """Check a manifest and write it down as a new run; the run's name. Raises ManifestError: nothing has run then.

        `documents` hold one Workflow, or WorkflowTemplates of which `template` names the one to run. Everything else
        in them goes to the engine's store.
        """
        workflow, spec, notes = self.check(documents, template=template, parameters=parameters)
        self.apply(documents)
        metadata = workflow.get("metadata") or {}
        run_name = name or metadata.get("name") or random_name(metadata.get("generateName") or "workflow-")
        check_run_name(run_name)
        run = RunState(
            name=run_name, uid=str(uuid.uuid4()), created=time.time(), spec=spec,
            namespace=metadata.get("namespace") or self._namespace, generate_name=metadata.get("generateName") or "",
            labels=dict(metadata.get("labels") or {}), annotations=dict(metadata.get("annotations") or {}),
            templates=self._templates(), config_maps=self._config_maps(), containers=self._containers,
            memo=self.journal.memo(),
        )  # fmt: skip
        if spec.get("workflowMetadata"):
            from tiphys.engine.labels import set_metadata  # noqa: PLC0415

            set_metadata(run)
        run.shutdown = spec.get("shutdown") or ""
        run.suspended = bool(spec.get("suspend"))
        self.journal.create(run, self.digest(documents, template, parameters), notes)
        self.wake()
        return run_name

    def check(
        self, documents: list[Json], *, template: str = "", parameters: Mapping[str, str] | None = None
    ) -> tuple[Json, Json, list[str]]:
        """The workflow, its merged spec, and notes on what is advisory. Raises ManifestError."""
        try:
            return self._checked(documents, template, parameters)
        except RecursionError:
            msg = "the manifest nests an expression, a tag or a template too deeply: write it flatter"
            raise ManifestError(msg) from None

    def _checked(
        self, documents: list[Json], template: str, parameters: Mapping[str, str] | None
    ) -> tuple[Json, Json, list[str]]:
        from tiphys.engine.validate import validate  # noqa: PLC0415

        for document in documents:
            check_shape(document)
        workflow = _workflow_of(documents, template)
        local = {(doc["kind"], (doc.get("metadata") or {}).get("name")): doc for doc in documents}

        def find(kind: str, wanted: str) -> Json | None:
            return local.get((kind, wanted)) or self.objects.get(kind, wanted)

        spec = effective_spec(workflow, find)
        declared = {entry.get("name") for entry in (spec.get("arguments") or {}).get("parameters") or []}
        set_parameters(spec, parameters or {})
        notes = validate(workflow, spec, documents, find, self.images)
        for document in documents:
            if document["kind"] in ("CronWorkflow", "WorkflowEventBinding"):
                from tiphys.engine.lint import problems  # noqa: PLC0415  # it stands beside few Workflows

                for problem in problems(document, find, self.images):
                    raise ManifestError(problem)
        extra = [name for name in parameters or {} if name not in declared]
        notes += [f"parameter {name!r} is not among the manifest's arguments: is it spelled right?" for name in extra]
        return workflow, spec, notes

    def digest(self, documents: list[Json], template: str = "", parameters: Mapping[str, str] | None = None) -> str:
        """What makes two submissions the same: manifest, parameters, and which steps are containers."""
        parts = [documents, template, dict(parameters or {}), *([sorted(self._containers)] if self._containers else [])]
        content = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def _templates(self) -> dict[str, Json]:
        """All installed templates that can be used, by kind/name: a templateRef may be made of tags."""
        found: dict[str, Json] = {}
        for kind in ("WorkflowTemplate", "ClusterWorkflowTemplate"):
            for name in self.objects.names(kind):
                stored = {"spec": (self.objects.get(kind, name) or {}).get("spec")}
                with suppress(ManifestError):  # it refers to what is not here: only who uses it is told
                    found[f"{kind}/{name}"] = effective_spec(stored, self.objects.get)
        return found

    def _config_maps(self) -> dict[str, dict[str, str]]:
        return {name: self.objects.config_map(name) for name in self.objects.names("ConfigMap")}

    def run(
        self,
        name: str,
        listener: Listener = ignore,
        *,
        command: str = "tiphys engine",
        on_interrupt: Callable[[int], None] = lambda _count: None,
        handle_signals: bool = True,
    ) -> RunState:
        """Drive a run, new or interrupted, to its end. Raises StateLockedError if another engine holds the state folder."""
        with StateLock(self.state, command, name):
            self.expire(besides=name)
            run = self.journal.load(name)
            if run.done:
                self.collect_artifacts(run)
                return run
            self.prepare()
            self.recover(run)
            asyncio.run(self._drive(run, listener, on_interrupt, handle_signals=handle_signals))
            self.collect_artifacts(run)
            return run

    async def _drive(
        self, run: RunState, listener: Listener, on_interrupt: Callable[[int], None], *, handle_signals: bool
    ) -> None:
        workshop = self.workshop()
        driver = self.driver(run, workshop, listener)
        waker = Waker(self.state, driver.asked)
        watch_processes()
        try:
            with interrupted_by_signals(driver, on_interrupt) if handle_signals else nullcontext():
                await driver.to_the_end()
        except sqlite3.Error as error:
            raise EngineError(self.unwritable(run.name, error)) from error
        finally:
            waker.close()
            workshop.close()

    def prepare(self) -> None:
        """Make ready for driving runs, once the lock is held: what a dead engine has left goes."""
        wait_for_leftovers(self.state)
        _clear_attempts(self.state / "attempts")
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES))

    def driver(self, run: RunState, workshop: Workshop, listener: Listener = ignore) -> Driver:
        """What drives a run that was loaded and recovered."""
        return Driver(run, self.journal, self._surroundings(run), workshop, listener)

    def workshop(self) -> Workshop:
        """What the runs share that one process drives."""
        return Workshop(self._slots)

    def unwritable(self, run: str, error: Exception) -> str:
        """What to tell of a journal that takes nothing more."""
        return f"the journal in {self.state} can't be written ({error}): make room, then `tiphys resume {run}`"

    def collect_artifacts(self, run: RunState) -> None:
        """Delete what artifactGC wants gone when a run has ended. Raises EngineError."""
        from tiphys.engine.expiry import delete_artifacts  # noqa: PLC0415

        if keys := self.doomed(run):
            delete_artifacts(self._store, keys)
            self.note_deleted(run, keys)

    def doomed(self, run: RunState) -> set[str]:
        """The keys of the artifacts that are to go now that the run has ended; none if it was retried or deleted meanwhile."""
        from tiphys.engine.expiry import ON_COMPLETION, doomed  # noqa: PLC0415

        keys = doomed(run, ON_COMPLETION) if run.done else set()
        return keys if keys and self.journal.is_as_known(run.name) else set()

    def note_deleted(self, run: RunState, keys: set[str]) -> None:
        """Write down that these artifacts are gone."""
        from tiphys.engine.expiry import mark_deleted  # noqa: PLC0415

        mark_deleted(run, keys)
        with suppress(RunChangedError):  # it was retried or deleted meanwhile
            self.journal.save(run)

    def expire(self, besides: str = "", grace: float = 0.0) -> None:
        """Delete the runs whose ttlStrategy says so: journal, logs, and the artifacts that artifactGC ties to them.

        Those whose time was over less than `grace` seconds ago stay for now: who waits for their end is to see it.
        """
        from tiphys.engine.control import forget  # noqa: PLC0415
        from tiphys.engine.expiry import expires_at  # noqa: PLC0415

        for name in self.journal.expired(time.time() - grace):
            if name == besides:
                continue
            try:
                run = self.journal.load(name)
                moment = expires_at(run)
                if moment is None or time.time() < moment:  # an older engine has not said when
                    self.journal.set_expiry(name, moment)
                else:
                    forget(self, run)
            except UnknownRunError:
                continue
            except (JournalDamagedError, ManifestError):
                self.journal.set_expiry(name, None)  # whoever asks for this run is told
            except EngineError:
                self.journal.set_expiry(name, time.time() + _LATER)  # the store is away: others are not to wait

    def recover(self, run: RunState) -> None:
        """What was running when the last engine died starts again."""
        from tiphys.engine.revive import revive_daemons  # noqa: PLC0415

        for node in run.nodes.values():
            if node.type in ("Pod", "HTTP", "Container") and not node.fulfilled:
                node.phase = PENDING
                run.dirty.add(node.id)
        revive_daemons(run)

    @property
    def images(self) -> ImageTable:
        """What images are in new runs. Raises ManifestError if the file of images is none."""
        return self.table(self._containers)

    def table(self, containers: list[str]) -> ImageTable:
        """What images are where steps whose image matches one of the patterns are containers. Raises ManifestError."""
        file = self._image_file
        extra = load_images(file) if file is not None and file.exists() else []
        return ImageTable([*extra, *self._images], _storage(tuple(containers)))

    def _surroundings(self, run: RunState) -> Surroundings:
        return replace(self.surroundings(run.containers), cache=self._cache(run))

    def surroundings(self, containers: list[str] | None) -> Surroundings:
        """What every step of a run shares whose steps are containers where their image matches one of the patterns."""
        private = can_make_private_roots() if self._private is None else self._private
        images = self.images if containers is None else self.table(containers)
        return Surroundings(self.state, images, self.objects, self._store, self._keep, private, self._limits)

    def unfinished(
        self, documents: list[Json], template: str = "", parameters: Mapping[str, str] | None = None, name: str = ""
    ) -> str | None:
        """A run of the same manifest, parameters and containers that has not ended; only `name` if one is given.

        Its engine is gone, or drives all runs. None where an engine drives another run.
        """
        if self.driven():
            return None
        return self.journal.unfinished(self.digest(documents, template, parameters), name)

    def refuse_if_held(self) -> None:
        """Raises StateLockedError while an engine drives a run: for who would write one down only to run it now."""
        refuse_if_held(self.state)

    def runs(self) -> list[Summary]:
        """All runs, the latest first; those whose time is over go."""
        if not is_held(self.state):
            self.expire()
        return list(self.journal.runs())

    def get(self, name: str) -> RunState:
        """The state of a run. Raises UnknownRunError."""
        return self.journal.load(name)

    def notes(self, name: str) -> list[str]:
        """What was advisory in the run's manifest."""
        return self.journal.notes(name)

    def folder(self, run: str) -> Path:
        """Where a run's logs are. Raises ManifestError for a name that could lead elsewhere, such as `../x`."""
        check_run_name(run)
        return self.state / "runs" / run

    def log_path(self, run: str, node_id: str) -> Path:
        """Where a node's log is, or will be. Raises ManifestError as `folder` does."""
        check_run_name(run)
        return log_path(self.state, run, node_id)

    def drives(self, name: str) -> bool:
        """Whether an engine drives that run now, or will in a moment if it has not ended."""
        return self._holders_run() in (ALL_RUNS, name)

    def driven(self) -> str:
        """The name of the one run that an engine drives now; empty if none does, or one drives all."""
        found = self._holders_run()
        return "" if found == ALL_RUNS else found

    def served(self) -> bool:
        """Whether an engine drives all runs that are written down."""
        return self._holders_run() == ALL_RUNS

    def refuse_if_served_elsewhere(self) -> None:
        """Raises EngineError where the engine that drives all runs keeps artifacts in another place than this one would."""
        kept = read_holder(self.state).get("artifacts")
        if self.served() and kept and kept != self._store.where:
            msg = (
                f"the engine that serves keeps artifacts in {kept}, and this command wants {self._store.where}: "
                "start it anew with the same TIPHYS_ARTIFACTS (`tiphys down`, then `tiphys up`)"
            )
            raise EngineError(msg)

    def _holders_run(self) -> str:
        return str(read_holder(self.state).get("run") or "") if is_held(self.state) else ""

    def wake(self) -> None:
        """Tell the engine that drives runs, if one does, that something was written which it may care for."""
        wake(self.state)

    def stop(self, name: str, *, terminate: bool = False) -> bool:
        """Ask the engine that drives the run to stop it; False if the run has ended. Raises EngineError."""
        return self.ask(name, {"kind": "shutdown", "strategy": "Terminate" if terminate else "Stop"})

    def resume_suspended(self, name: str, node: str = "", parameters: Mapping[str, str] | None = None) -> bool:
        """Ask the engine that drives the run to resume suspended steps; False if the run has ended."""
        return self.ask(name, {"kind": "resume", "node": node, "parameters": dict(parameters or {})})

    def ask(self, name: str, request: Json) -> bool:
        """Write a request down for the engine that drives the run, now or later; False if the run has ended."""
        if self.get(name).done:
            return False
        if not self.journal.request(name, request):
            return False
        self.wake()
        return True

    def retry(
        self,
        name: str,
        parameters: Mapping[str, str] | None = None,
        chosen: str = "",
        containers: list[str] | None = None,
    ) -> list[str]:
        """Reset what failed in a run that has ended, so that `run` goes on from there; the steps that will run again.

        `chosen` is a selector of nodes that run again although they succeeded; `containers` are as the run has them
        where they are None. Raises EngineError.
        """
        from tiphys.engine.control import retry  # noqa: PLC0415

        return retry(self, name, parameters, chosen, containers)


def _clear_attempts(folder: Path) -> None:
    """Remove what steps of a dead engine have left: their folders, and the control groups of their containers."""
    contained = {path.parent for path in folder.glob("*/bundle-*")}
    if contained:
        from tiphys.engine.oci.pod import take_control_groups_away  # noqa: PLC0415  # most runs need none

        for attempt in contained:
            take_control_groups_away(attempt)
    shutil.rmtree(folder, ignore_errors=True)


def _storage(patterns: tuple[str, ...]) -> Storage | None:
    if not patterns:
        return None
    from tiphys.engine.oci.storage import Storage  # noqa: PLC0415  # most runs need none

    return Storage(patterns)


def _workflow_of(documents: list[Json], template: str) -> Json:
    workflows = [document for document in documents if document.get("kind") == "Workflow"]
    templates = [document for document in documents if document.get("kind") == "WorkflowTemplate"]
    if template:
        return _reference_to(template)
    if len(workflows) == 1:
        return workflows[0]
    if not workflows and len(templates) == 1:
        return _reference_to(templates[0]["metadata"]["name"])
    msg = (
        f"the manifest holds {len(workflows)} Workflows and {len(templates)} WorkflowTemplates: "
        "give exactly one Workflow, or name the template to run"
    )
    raise ManifestError(msg)


def _reference_to(template: str) -> Json:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": f"{template}-"},
        "spec": {"workflowTemplateRef": {"name": template}},
    }


def random_name(prefix: str) -> str:
    """`prefix` and five characters, as generateName gives on a cluster: a long prefix is cut."""
    return prefix[:58] + "".join(random.choices(_LETTERS, k=5))  # noqa: S311  # a name, not a secret
