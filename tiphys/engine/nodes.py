"""Nodes: what a run consists of, with the names, ids and phases that Argo gives them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

PENDING, RUNNING = "Pending", "Running"
SUCCEEDED, SKIPPED, FAILED, ERROR, OMITTED = "Succeeded", "Skipped", "Failed", "Error", "Omitted"
FULFILLED = frozenset({SUCCEEDED, SKIPPED, FAILED, ERROR, OMITTED})
COMPLETED = frozenset({SUCCEEDED, FAILED, ERROR})
UNSUCCESSFUL = frozenset({FAILED, ERROR})

Json = dict[str, Any]


def fnv32a(text: str) -> int:
    """The 32-bit FNV-1a hash of `text`, which Argo puts into ids."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


@lru_cache(maxsize=1 << 17)
def node_id(workflow: str, node_name: str) -> str:
    """The id of a node; the root's is the workflow's name."""
    return workflow if node_name == workflow else f"{workflow}-{fnv32a(node_name)}"


def pod_name(workflow: str, node_name: str, template: str) -> str:
    """The name that the node's pod would have on a cluster, which `{{pod.name}}` and artifact keys show."""
    if workflow == node_name:
        return workflow
    prefix = f"{workflow}-{template}" if template else workflow
    return f"{prefix[:242]}-{fnv32a(node_name)}"


@dataclass(slots=True)
class Node:
    """One node of a run. `started` and `finished` are seconds since the epoch; `flags` are hooked and retried."""

    id: str
    name: str
    display_name: str
    type: str
    phase: str
    boundary: str = ""
    template_name: str = ""
    template_ref: Json | None = None
    message: str = ""
    started: float = 0.0
    finished: float = 0.0
    children: list[str] = field(default_factory=list)
    outbound: list[str] = field(default_factory=list)
    flags: dict[str, bool] | None = None
    inputs: Json | None = None
    outputs: Json | None = None
    memoization: Json | None = None
    lock_waiting: str = ""
    attempts: int = 0
    daemoned: bool = False
    pod_ip: str = ""
    on_exit: bool = False
    """Whether it belongs to an exit handler, of the workflow or of a step: a Stop lets those run."""

    @property
    def fulfilled(self) -> bool:
        """Nobody has to wait for it any more: it has ended, was passed over, or is a daemon that is ready."""
        return self.phase in FULFILLED or (self.daemoned and self.phase != PENDING)

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it, Skipped and Omitted included."""
        return self.phase in FULFILLED

    @property
    def completed(self) -> bool:
        """It ran to an end."""
        return self.phase in COMPLETED

    @property
    def unsuccessful(self) -> bool:
        """Failed or Error."""
        return self.phase in UNSUCCESSFUL

    def flag(self, name: str) -> bool:
        """Whether `hooked` or `retried` is set."""
        return bool(self.flags and self.flags.get(name))

    def to_json(self) -> Json:
        """A JSON object that `from_json` reads."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: Json) -> Node:
        """The node that `to_json` wrote."""
        return cls(**data)
