"""What the core asks of the shell, and what the shell tells the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StartPod:
    """Run the leaf template of a node; `template` has all its tags filled in.

    `origin` is the template before that, and `variables` are those of the workflow and the node that fill it: for who
    would run the step again with other inputs.
    """

    node_id: str
    node_name: str
    template: Json
    pod_name: str
    keep_result: bool
    origin: Json | None = None
    variables: Mapping[str, str] | None = None


GRACE = 30.0  # seconds between SIGTERM and SIGKILL, Kubernetes' own default


@dataclass(frozen=True, slots=True)
class KillPod:
    """End a node's processes: SIGTERM, then SIGKILL after the grace period."""

    node_id: str
    grace: float = GRACE


@dataclass(frozen=True, slots=True)
class SaveMemo:
    """Keep a step's outputs under a key for later runs."""

    cache: str
    key: str
    entry: Json


Action = StartPod | KillPod | SaveMemo


@dataclass(frozen=True, slots=True)
class PodStarted:
    """The process of a node runs. A daemon stays Pending until it is ready."""

    node_id: str
    attempt: int = 0
    daemon: bool = False


@dataclass(frozen=True, slots=True)
class PodReady:
    """The daemon of a node runs and its readiness probe has succeeded."""

    node_id: str


@dataclass(frozen=True, slots=True)
class ContainerChanged:
    """One container of a containerSet runs, or has ended."""

    node_id: str
    phase: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class PodEnded:
    """The process of a node has ended, and its outputs have been taken."""

    node_id: str
    phase: str
    message: str
    outputs: Json | None
    memoization: Json | None = None


@dataclass(frozen=True, slots=True)
class Shutdown:
    """`Stop` (exit handlers still run) or `Terminate`."""

    strategy: str


@dataclass(frozen=True, slots=True)
class ResumeSuspended:
    """Resume suspended nodes: the one of that id, or all; `parameters` are the supplied outputs.

    An empty `phase` leaves them suspended: only outputs and a message are set.
    """

    node_id: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    phase: str = "Succeeded"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Suspend:
    """Start nothing more until the run is resumed; what runs goes on."""


Result = PodStarted | PodReady | ContainerChanged | PodEnded | Shutdown | Suspend | ResumeSuspended
