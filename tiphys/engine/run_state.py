"""The state of one run: all that the core knows. The journal stores it; everything else is derived."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tiphys.engine.nodes import Node
from tiphys.engine.shared_locks import SharedLocks

Json = dict[str, Any]


class Dirty(dict[str, None]):
    """Ids of the nodes that have changed, in the order in which they first did."""

    def add(self, node_id: str) -> None:
        """The node has changed."""
        self[node_id] = None


@dataclass(slots=True)
class RunState:
    """One run. `now` and all times are seconds since the epoch.

    `spec` is the merged spec, frozen at submit; so are `templates` (those that templateRef names, by kind/name) and
    `config_maps`. Secrets are never here. `containers` are shell patterns: steps whose image matches one run in
    it; None where the engine that drives the run says it.
    """

    name: str
    uid: str
    created: float
    spec: Json
    namespace: str = "default"
    generate_name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    templates: dict[str, Json] = field(default_factory=dict)
    config_maps: dict[str, dict[str, str]] = field(default_factory=dict)
    containers: list[str] | None = None
    memo: dict[str, dict[str, Json]] = field(default_factory=dict)
    locks: dict[str, list[str]] = field(default_factory=dict)
    phase: str = ""
    message: str = ""
    started: float = 0.0
    finished: float = 0.0
    shutdown: str = ""
    suspended: bool = False
    outputs: Json | None = None
    deleted: bool = False
    """Whether it is to be forgotten when it has ended."""
    nodes: dict[str, Node] = field(default_factory=dict)
    # Derived while an engine works on the run; empty after a restart, so that unfinished steps start again.
    launched: set[str] = field(default_factory=set)
    killing: dict[str, str] = field(default_factory=dict)
    deadlines: dict[str, tuple[float, str]] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)
    """Until when a pod that was launched may be Pending, in seconds since the epoch."""
    dirty: Dirty = field(default_factory=Dirty)
    sleepers: dict[str, Any] = field(default_factory=dict)
    blocked: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """Children, by name, that wait for nothing but a lock: its name, how many may hold it, and `version` then."""
    restless: set[str] = field(default_factory=set)
    version: int = 0
    cache: dict[Any, Any] = field(default_factory=dict)
    shared: SharedLocks | None = None
    """The locks of the other runs that the same process drives."""

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return self.phase in ("Succeeded", "Failed", "Error")

    def header(self) -> Json:
        """What was settled at submit, as a JSON object."""
        return {name: getattr(self, name) for name in _HEADER}

    def progress(self) -> Json:
        """What changes while the run goes on, without the nodes."""
        return {name: getattr(self, name) for name in _PROGRESS}

    @classmethod
    def of(cls, header: Json, progress: Json, nodes: list[Node], memo: dict[str, dict[str, Json]]) -> RunState:
        """The state that a journal's rows describe."""
        known = {name: value for name, value in {**header, **progress}.items() if name in (*_HEADER, *_PROGRESS)}
        return cls(**known, nodes={node.id: node for node in nodes}, memo=memo)


_HEADER = (
    "name",
    "uid",
    "created",
    "spec",
    "namespace",
    "generate_name",
    "labels",
    "annotations",
    "templates",
    "config_maps",
    "containers",
)
_PROGRESS = ("locks", "phase", "message", "started", "finished", "shutdown", "suspended", "outputs", "deleted")
