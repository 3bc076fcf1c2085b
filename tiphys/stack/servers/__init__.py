"""The embedded servers, one file each: what to start, in which order, and how to ask whether it lives."""

from __future__ import annotations

from tiphys.release.records import ENVIRONMENTS
from tiphys.stack.servers import engine, mlflow, own, postgres, ray, seaweedfs, triton
from tiphys.stack.spec import Plan, Server


def servers(plan: Plan) -> tuple[Server, ...]:
    """Every server of the stack, slow starters first; stopping goes backwards."""
    needed = (
        postgres.server(plan),
        seaweedfs.server(plan),
        ray.server(plan),
        mlflow.server(plan),
        *(triton.server(plan, environment) for environment in ENVIRONMENTS),
        *own.servers(plan),
    )
    return (*needed, engine.server(plan, tuple(each.name for each in needed)))
