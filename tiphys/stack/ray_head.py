"""The program behind the server ``ray``: a head node with what jobs need and nothing else.

``ray start --head`` loads its whole command line (6 s, 160 MB), an autoscaler, a client proxy and nine dashboard modules
in a process each. This program makes the same node with two of those modules: 450 MB instead of 800.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from typing import Any

MODULES = "JobHead,NodeHead"
_OBJECT_STORE = 300_000_000  # bytes
_CPUS = 2


def main() -> int:
    """Run the head until told to stop (0) or until one of its processes is gone (1)."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    node = _start(json.loads(sys.argv[1]))
    while not stop.wait(1.0):
        if dead := node.dead_processes():
            print("ended by itself:", ", ".join(str(kind) for kind, _ in dead), file=sys.stderr, flush=True)  # noqa: T201
            return 1
    node.kill_all_processes(check_alive=False, allow_graceful=True)
    return 0


def _start(given: dict[str, Any]) -> Any:
    from ray._private import services  # noqa: PLC0415
    from ray._private.node import Node  # noqa: PLC0415
    from ray._private.parameter import RayParams  # noqa: PLC0415

    start_process = services.start_ray_process

    def start_trimmed(command: list[str], process_type: str, *arguments: Any, **options: Any) -> Any:
        extra = [f"--modules-to-load={MODULES}"] if process_type == "dashboard" else []
        return start_process([*command, *extra], process_type, *arguments, **options)

    services.start_ray_process = start_trimmed
    parameters = RayParams(
        node_ip_address="127.0.0.1",
        node_name="tiphys",
        gcs_server_port=given["gcs"],
        object_manager_port=given["object_manager"],
        node_manager_port=given["node_manager"],
        min_worker_port=given["workers_first"],
        max_worker_port=given["workers_last"],
        dashboard_host="127.0.0.1",
        dashboard_port=given["dashboard_port"],
        dashboard_agent_listen_port=given["agent_http"],
        metrics_agent_port=given["agent_grpc"],
        runtime_env_agent_port=given["runtime_env"],
        metrics_export_port=given["metrics_export"],
        num_cpus=_CPUS,
        num_gpus=0,
        object_store_memory=_OBJECT_STORE,
        temp_dir=given["temp_dir"],
        include_log_monitor=False,
        include_dashboard=True,
        no_monitor=True,
    )
    return Node(parameters, head=True, shutdown_at_exit=True, spawn_reaper=True)


if __name__ == "__main__":
    sys.exit(main())
