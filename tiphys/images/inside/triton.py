"""Lay out Triton as its container wants it: ``python -m tiphys.images.inside.triton FOLDER``.

A Python-based backend is a folder with a ``model.py``, next to the Python backend that runs it; Triton looks for the stub of the
Python backend where that backend's library really lies, so these are moved, not linked.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tiphys.images.inside.times import settle

ENVIRONMENT = Path("/opt/venv")
BACKEND = Path("onnxruntime_backend/model.py")


def main(target: Path) -> int:
    """Make ``bin``, ``lib`` and ``backends`` below the target."""
    packages = next(ENVIRONMENT.glob("lib/python3.*/site-packages"))
    program, version = packages / "pytriton" / "tritonserver", packages.parent.name.removeprefix("python")
    backends = target / "backends"
    backends.mkdir(parents=True)
    (program / "backends" / "python").rename(backends / "python")
    (program / "python_backend_stubs" / version / "triton_python_backend_stub").rename(
        backends / "python" / "triton_python_backend_stub"
    )
    shutil.rmtree(program / "python_backend_stubs")  # those of other Pythons
    (backends / "onnxruntime").mkdir()
    shutil.copy(BACKEND, backends / "onnxruntime" / "model.py")
    for name, place in (("bin", program / "bin"), ("lib", packages / "nvidia_pytriton.libs")):
        (target / name).symlink_to(place)
    for folder in (target, ENVIRONMENT):
        settle(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
