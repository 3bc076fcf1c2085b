"""Load from compiled clients for bench/serving.py: wrk and h2load (closed loop), openloop.go (a fixed rate).

``apt install wrk nghttp2-client``; Go builds the third into the bench's folder.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LUA = """
local bodies, n = {}, 0
for line in io.lines("%(bodies)s") do n = n + 1; bodies[n] = line end
local headers, at, requests = { %(headers)s }, 0, {}
init = function() for i = 1, n do requests[i] = wrk.format("POST", nil, headers, bodies[i]) end end
request = function() at = at %% n + 1; return requests[at] end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('JSON{"requests":%%d,"us":%%d,"errors":%%d,"p50":%%d,"p95":%%d,"p99":%%d}\\n', summary.requests,
    summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """What one run found; latencies in ms."""

    answers: int
    errors: int
    rate: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def middle(cls, runs: list[Load]) -> Load:
        """The median of each figure."""
        columns = zip(*[[each.rate, each.p50, each.p95, each.p99] for each in runs], strict=True)
        figures = [statistics.median(column) for column in columns]
        return cls(sum(each.answers for each in runs), sum(each.errors for each in runs), *figures)


def need(*programs: str) -> None:
    """Say how to get what is missing."""
    missing = [each for each in programs if shutil.which(each) is None]
    if missing:
        raise SystemExit(f"not on PATH: {', '.join(missing)}; apt install wrk nghttp2-client, and Go from go.dev")


def wrk(  # noqa: PLR0913, PLR0917 - these are what a run is
    folder: Path, url: str, bodies: Path, headers: dict[str, str], clients: int, seconds: float
) -> Load:
    """Ask the bodies of a file, one a line, in turn, from so many clients as fast as answers come."""
    told = ", ".join(f'["{name}"]="{value}"' for name, value in {"Content-Type": "application/json", **headers}.items())
    script = folder / "wrk.lua"
    script.write_text(_LUA % {"bodies": bodies, "headers": told})
    argv = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(script), url]
    text = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    found = json.loads(text.partition("JSON")[2].partition("\n")[0])
    answers = found["requests"] - found["errors"]
    latencies = (found[each] / 1000 for each in ("p50", "p95", "p99"))
    return Load(answers, found["errors"], answers / found["us"] * 1e6, *latencies)


def h2load(  # noqa: PLR0913, PLR0917 - these are what a run is
    folder: Path, address: str, message: Path, key: str, clients: int, requests: int
) -> Load:
    """Ask one gRPC message over and over, a call at a time on each of so many connections.

    An error in gRPC is a trailer that h2load does not read; it has no message, so the bytes of messages tell.
    """
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    argv = [
        "h2load", f"-n{requests}", f"-c{clients}", "-m1", f"-d{message}", "-Hcontent-type: application/grpc",
        "-Hte: trailers", f"-Hauthorization: Bearer {key}", f"--log-file={log}",
        f"http://{address}/inference.GRPCInferenceService/ModelInfer",
    ]  # fmt: skip
    text = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300).stdout
    rows = [[int(each) for each in line.split()] for line in log.read_text().splitlines()]
    took = sorted(row[2] / 1000 for row in rows)
    seconds = float(text.partition("finished in ")[2].partition(",")[0].replace("ms", "e-3").rstrip("s"))
    data = text.partition("headers (")[2].partition("), ")[2].partition(" data")[0]
    size = int(data.partition("(")[2].rstrip(")"))
    whole = size // len(rows) if size % len(rows) == 0 else 0
    at = (took[int(share * (len(took) - 1))] for share in (0.5, 0.95, 0.99))
    return Load(len(rows) if whole else 0, 0 if whole else len(rows), len(rows) / seconds, *at)


def openloop(folder: Path, **options: Any) -> subprocess.Popen[str]:
    """Start the open-loop client (see openloop.go for its options); it prints one JSON object."""
    program = folder / "openloop"
    if not program.exists():
        source = Path(__file__).parent / "openloop.go"
        subprocess.run(["go", "build", "-o", str(program), str(source)], check=True, cwd=folder)
    argv = [str(program), *(f"-{name.replace('_', '-')}={value}" for name, value in options.items())]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
