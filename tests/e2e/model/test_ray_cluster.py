"""The step train on a Ray cluster of two nodes: trained beside the head, told what is wrong, and gone on with after a loss."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.e2e.model.model_steps import outputs_in, start
from tests.e2e.model.ray_nodes import HEAD, RayNodes, running
from tiphys.lake.s3 import S3
from tiphys.settings import S3Settings
from tiphys.settings import load as settings

if TYPE_CHECKING:
    from conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.long]

NODE = "127.0.0.3"
Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def cluster(stack: Stack, eventually: Eventually) -> Iterator[RayNodes]:
    """A head without CPUs; tests add and lose the node that trains."""
    told = {name: value for name, value in stack.environment("train").items() if "RAY" not in name}
    with running(told, eventually) as made:
        yield made


@dataclass(frozen=True)
class Training:
    """The step train, on the stack's own Ray or on the cluster."""

    stack: Stack
    cluster: RayNodes
    folder: Path
    dataset: str

    def begin(self, run: str, attempt: int = 0, *, at: Stack | None = None, **inputs: Any) -> subprocess.Popen[str]:
        """Start the step."""
        given = {"use_case": "tests.usecases.tiny", "dataset": self.dataset, **inputs}
        at = at or self.cluster.for_step(self.stack)
        return start(at, "train", self.folder / f"{run}-{attempt}", run, attempt, given)

    def run(
        self, run: str, attempt: int = 0, *, at: Stack | None = None, **inputs: Any
    ) -> tuple[int, dict[str, Any], str]:
        """Run the step to its end: exit code, outputs, log."""
        process = self.begin(run, attempt, at=at, **inputs)
        _, log = process.communicate(timeout=600)
        return process.returncode, outputs_in(self.folder / f"{run}-{attempt}"), log

    @property
    def store(self) -> S3:
        """S3 with the rights of train."""
        return S3(settings(S3Settings, self.stack.environment("train")))

    def epochs(self, seed: int) -> list[str]:
        """Notes of the finished epochs of the training with that seed."""
        specs = [each.uri for each in self.store.list("s3://checkpoints/tiny/") if each.uri.endswith("/spec.json")]
        mine = [uri for uri in specs if json.loads(self.store.get(uri))["seed"] == seed]
        listed = self.store.list(mine[0].replace("spec.json", "epochs/")) if mine else []
        return [each.uri for each in listed if each.uri.endswith(".json")]


@pytest.fixture
def train(stack: Stack, cluster: RayNodes, kettles: str, tmp_path: Path) -> Training:
    """The step, on a cluster that is a head and no more."""
    return Training(stack, cluster, tmp_path, kettles)


@pytest.fixture
def node(cluster: RayNodes, eventually: Eventually) -> None:
    """A node beside the head."""
    if NODE not in cluster.nodes:
        cluster.add(NODE)
    eventually(lambda: cluster.cpus() == 2.0, within=240)


def test_a_node_beside_the_head_trains_the_very_weights_that_the_stack_trains(train: Training, node: None) -> None:
    """The same digest of weights and the same error; the job's record holds no credential and no path."""
    code, alone, log = train.run("alone", at=train.stack, epochs=3, seed=5)
    assert code == 0, log
    for each in train.store.list(alone["model_uri"].partition("model.safetensors")[0]):
        train.store.delete(each.uri)
    code, there, log = train.run("beside", epochs=3, seed=5)
    assert code == 0, log
    assert not there["reused"]
    assert (there["model_uri"], there["validation_mae"]) == (alone["model_uri"], alone["validation_mae"])
    record = train.cluster.jobs()
    assert "components.train.job" in record
    assert not [value for value in train.stack.secrets["train"].values() if len(value) > 8 and value in record]
    assert str(Path.cwd()) not in record


def test_a_node_lost_in_training_ends_the_attempt_and_the_next_goes_on(
    train: Training, cluster: RayNodes, node: None, eventually: Eventually
) -> None:
    """Killed as a whole after some epochs: 75 with a message, bounded; with a new node no finished epoch is done again."""
    process = train.begin("lost", epochs=400, seed=6)
    eventually(lambda: len(train.epochs(6)) >= 2 or process.poll() is not None, within=240)
    workers = [each for each in psutil.Process(cluster.nodes[NODE].pid).children(recursive=True) if _trains(each)]
    assert workers, "the worker runs on another node than the head"
    cluster.kill(NODE)
    kept = {uri: train.store.get(uri) for uri in train.epochs(6)[:2]}
    _, log = process.communicate(timeout=400)
    assert process.returncode == 75, log
    assert "no node of the Ray cluster had room for the training in time: it wants 1 CPU; 1 nodes have 0 CPUs" in log
    assert "Traceback" not in log
    cluster.add(NODE)
    eventually(lambda: cluster.cpus() == 2.0, within=240)
    code, outputs, log = train.run("lost", 1, epochs=400, seed=6)
    assert code == 0, log
    assert {uri: train.store.get(uri) for uri in kept} == kept
    assert outputs["epochs_run"] >= 2


def test_a_cluster_without_a_free_cpu_ends_the_step(train: Training, cluster: RayNodes) -> None:
    """A head alone has no CPU: the step says so and can be tried again."""
    if NODE in cluster.nodes:
        cluster.kill(NODE)
    code, _, log = train.run("nobody", epochs=1, seed=7)
    assert code == 75, log
    assert "no node of the Ray cluster had room for the training in time: it wants 1 CPU" in log


def test_a_wrong_token_ends_the_step_at_once(train: Training) -> None:
    """Permanent, named; the token itself is not told."""
    stranger = train.cluster.for_step(train.stack, "f00f00f00f00")
    code, _, log = train.run("stranger", at=stranger, epochs=1, seed=8)
    assert code == 65, log
    assert "refused the token: TIPHYS_RAY_TOKEN is not this cluster's" in log
    assert "f00f00f00f00" not in log


def test_a_head_lost_in_training_ends_the_attempt(
    train: Training, cluster: RayNodes, node: None, eventually: Eventually
) -> None:
    """The step gives up by itself, to be tried again."""
    process = train.begin("headless", epochs=1000, seed=9)
    eventually(lambda: bool(train.epochs(9)) or process.poll() is not None, within=240)
    cluster.kill(HEAD)
    cluster.kill(NODE)
    _, log = process.communicate(timeout=400)
    assert process.returncode == 75, log
    assert "does not answer" in log
    assert "Traceback" not in log


def _trains(process: psutil.Process) -> bool:
    return "RayTrainWorker" in " ".join(process.cmdline())
