"""The inference servers: NVIDIA's ``tritonserver``, one for each environment, models loaded only when told."""

from __future__ import annotations

import shutil
from pathlib import Path

from tiphys import libpython
from tiphys.stack import probes
from tiphys.stack.spec import Command, Plan, Run, Server

BACKEND = "onnxruntime"


def server(plan: Plan, environment: str) -> Server:
    """Triton of one environment with an empty repository; its agent puts models there and loads them."""
    name, ports = f"triton-{environment}", plan.ports
    home = plan.layout.data(name)
    address = ports.address(f"{environment}_http")

    async def prepare(_run: Run) -> None:
        (home / "models").mkdir(mode=0o700, parents=True, exist_ok=True)
        install_backend(plan.settings.project, home / "backends")

    where = surroundings(plan.settings.project)
    return Server(
        name=name,
        command=Command(_argv(plan, environment, home), {**plan.environment(name), **where}, home),
        address=address,
        alive=lambda: probes.http_ok(
            address, "/v2/health/live"
        ),  # ready it is not while a candidate could not be loaded
        prepare=prepare,
        stop_within=20.0,
    )


def environment_folder(project: Path) -> Path:
    """The Python environment of Triton's own, beside the project's."""
    return project / ".venv-triton"


def program_folder(project: Path) -> Path:
    """Where the wheel keeps ``tritonserver`` and its Python backend; need not exist."""
    found = sorted(environment_folder(project).glob("lib/python3.*/site-packages/pytriton/tritonserver"))
    return found[0] if found else environment_folder(project) / "lib" / "pytriton" / "tritonserver"


def surroundings(project: Path) -> dict[str, str]:
    """What a ``tritonserver`` must find in its environment to start, and to start its Python stubs."""
    where = environment_folder(project)
    libraries = [program_folder(project).parents[1] / "nvidia_pytriton.libs", libpython.folder()]
    return {
        "VIRTUAL_ENV": str(where),
        "OMP_NUM_THREADS": "1",
        "LD_LIBRARY_PATH": ":".join(str(each) for each in libraries if each),
        "PATH": f"{where / 'bin'}:/usr/local/bin:/usr/bin:/bin",
    }


def _argv(plan: Plan, environment: str, home: Path) -> tuple[str, ...]:
    ports = plan.ports
    return (
        str(program_folder(plan.settings.project) / "bin" / "tritonserver"),
        f"--id={environment}", f"--model-repository={home / 'models'}", f"--backend-directory={home / 'backends'}",
        "--model-control-mode=explicit", "--disable-auto-complete-config", "--exit-on-error=false",
        "--http-address=127.0.0.1", f"--http-port={ports[f'{environment}_http']}", "--http-thread-count=4",
        "--grpc-address=127.0.0.1", f"--grpc-port={ports[f'{environment}_grpc']}",
        "--metrics-address=127.0.0.1", f"--metrics-port={ports[f'{environment}_metrics']}",
        "--allow-gpu-metrics=false", "--allow-cpu-metrics=false", "--pinned-memory-pool-byte-size=0",
        "--exit-timeout-secs=10", "--log-info=false",
    )  # fmt: skip


def install_backend(project: Path, backends: Path) -> None:
    """Write the folder of backends: a Python-based one is a folder with a ``model.py``, beside the Python backend.

    Files, no links: Triton looks for the stub of the Python backend where that backend's library really lies.
    """
    program = program_folder(project)
    version = program.parents[2].name.removeprefix("python")
    shutil.rmtree(backends, ignore_errors=True)
    shutil.copytree(program / "backends" / "python", backends / "python")
    shutil.copy(program / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "python")
    (backends / BACKEND).mkdir()
    shutil.copy(project / "tiphys" / "serving" / "onnxruntime_backend" / "model.py", backends / BACKEND)
