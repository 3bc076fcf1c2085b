"""Serving in figures: the gateway beside its peers, beside Triton itself, overloaded, and with its Triton killed.

    .venv/bin/python bench/serving.py [--only json pass overload queue faults releases] [--repeats 3] [--repository FOLDER] [--others FOLDER]

* json: one-trip questions by 1 to 32 clients, by wrk: the gateway (keys, validation, prediction log to a real S3 server) in turns
  with MLServer, BentoML, Ray Serve, and FastAPI with ONNX Runtime by hand, each with the best of its settings. A hundred
  questions must get equal answers from a peer before it is measured. CPU seconds are those of all processes of the service: of
  ours the gateway, Triton with the processes that run its models, and S3.
* pass: the V2 protocol through the gateway and at Triton itself, over HTTP (wrk) and gRPC (h2load).
* overload: an open loop at ten times the rate that the asker's key admits (200 a second), before and after it just below.
* queue: the same at three times what a slow model answers, by a key without a limit.
* faults: kill -9 of Triton under load.
* releases: promotions and rollbacks under load, through the ledger and with it, PostgreSQL and S3 killed.

Production runs as `tiphys up` starts it: PostgreSQL, ledger, S3, Triton, its agent, gateway. `--others` keeps the peers'
environments (made by uv; 800 MB). `--repository` is an agent's copy of a model: by default the one in production on this
machine's stack. Needs wrk, h2load (apt install wrk nghttp2-client) and Go. Figures are medians.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import serving_faults
import serving_json
import serving_overload
import serving_pass
from serving_bench import Bench
from serving_load import need
from serving_peers import SETTINGS
from serving_world import default_repository, world

PARTS = {
    "json": serving_json.part,
    "pass": serving_pass.part,
    "overload": serving_overload.by_key,
    "queue": serving_overload.by_queue,
    "faults": serving_faults.killed,
    "releases": serving_faults.releases,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--peers", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement")
    parser.add_argument("--repository", type=Path)
    parser.add_argument("--others", type=Path, default=Path(tempfile.gettempdir()) / "tiphys-bench-others")
    parser.add_argument("--port-base", type=int, default=9400)
    arguments = parser.parse_args()
    need("wrk", "h2load", "go")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a time limit leaves no server behind
    copy = arguments.repository or default_repository()
    with tempfile.TemporaryDirectory(prefix="tiphys-bench-") as name:
        folder = Path(name)
        with world(folder / "home", arguments.port_base) as served:
            bench = Bench(served, folder, copy, arguments)
            for part in arguments.only:
                began = time.monotonic()
                print(f"\n{part}: load average {os.getloadavg()[0]:.1f} before it", flush=True)
                PARTS[part](bench)
                print(f"({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
