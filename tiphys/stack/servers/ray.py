"""Ray's head: jobs and workers of the training, guarded by a token."""

from __future__ import annotations

import json
import shutil

from tiphys.stack import config, probes
from tiphys.stack.spec import Command, Plan, Run, Server


def server(plan: Plan) -> Server:
    """Ray's head node; what its jobs must know is in its environment, so no job's record holds a credential."""
    ports, home = plan.ports, plan.layout.ray
    token = {"Authorization": f"Bearer {plan.keys.ray_token}"}
    secrets = config.secrets(plan.settings, plan.keys)
    environment = plan.environment("ray", **config.config_map(plan.settings, plan.keys), **secrets.get("train", {})) | {
        "HOME": str(home / "home"),
        "TMPDIR": str(home / "tmp"),  # for sockets too, so it must be as short as Ray's folder
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": plan.keys.ray_token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's switch for "this machine only": every port on loopback
        "RAY_enable_metrics_collection": "0",
        "RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE": "1",
        "DASHBOARD_METRIC_PORT": str(ports["ray_dashboard_metrics"]),
        "RAY_ROTATION_MAX_BYTES": str(8 << 20),
        "RAY_ROTATION_BACKUP_COUNT": "1",
    }
    head = {name.removeprefix("ray_"): ports[name] for name in PORTS} | {
        "temp_dir": str(home / "s"),  # Ray opens it to everybody; the folder around it stays closed
        "dashboard_port": ports["ray"],
    }

    async def prepare(_run: Run) -> None:
        shutil.rmtree(home, ignore_errors=True)  # sessions of earlier heads: nothing in them outlives a head
        home.mkdir(mode=0o700)
        for name in ("home", "tmp"):
            (home / name).mkdir(mode=0o700)

    def alive() -> None:
        probes.http_ok(ports.address("ray"), "/api/version", token)
        probes.listens(ports.address("ray_agent_http"))

    return Server(
        name="ray",
        command=Command(plan.python("-m", "tiphys.stack.ray_head", json.dumps(head)), environment, plan.layout.home),
        address=ports.address("ray"),
        alive=alive,
        prepare=prepare,
        stop_within=15.0,
    )


PORTS = (
    "ray_gcs", "ray_object_manager", "ray_node_manager", "ray_agent_http", "ray_agent_grpc", "ray_runtime_env",
    "ray_metrics_export", "ray_workers_first", "ray_workers_last",
)  # fmt: skip
