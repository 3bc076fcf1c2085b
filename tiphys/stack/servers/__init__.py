"""The embedded servers, one file each: what to start, in which order, and how to ask whether it lives."""

from __future__ import annotations

import importlib.util

from tiphys.stack.servers import mlflow, own, postgres, ray, seaweedfs, triton
from tiphys.stack.spec import Plan, Server


def servers(plan: Plan) -> tuple[Server, ...]:
    """Every server of the stack, slow starters first; stopping goes backwards."""
    return (
        postgres.server(plan),
        seaweedfs.server(plan),
        ray.server(plan),
        mlflow.server(plan),
        triton.server(plan, "staging"),
        triton.server(plan, "production"),
        *(each for each in own.servers(plan) if importlib.util.find_spec(each.command.argv[2])),
    )
