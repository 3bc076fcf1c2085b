"""Setting up: locks carry no address, and the CPU variant drops CUDA whole."""

from __future__ import annotations

import pytest

from tiphys.bootstrap import MAIN, TRITON, Environment, sections, without_torch

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("environment", [MAIN, TRITON], ids=["main", "triton"])
def test_locks_pin_every_package_by_digest_and_name_no_address(environment: Environment) -> None:
    """What is installed is what was locked, wherever it is fetched from."""
    found = sections(environment.lock)
    assert len(found) > 20
    assert all("--hash=sha256:" in text for name, text in found.items() if name)
    assert "://" not in environment.lock.read_text()


def test_the_cpu_variant_drops_torch_and_cuda_and_nothing_else() -> None:
    """Everything that is not CUDA's or torch's stays as locked, whatever its name begins with."""
    everything = sections(MAIN.lock)
    left = without_torch(MAIN.lock)
    dropped = {name for name in everything if f"\n{name}==" not in f"\n{left}"} - {""}
    assert {"torch", "triton"} < dropped
    assert all(name in {"torch", "triton"} or name.startswith(("nvidia-", "cuda-")) for name in dropped)
    assert not {"tritonclient", "torchmetrics", "lightning"} & dropped


def test_the_installer_itself_is_locked() -> None:
    """Uv comes from the same lock, by digest."""
    assert sections(MAIN.lock)["uv"].startswith("uv==")
