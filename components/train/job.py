"""The program that a Ray job runs: it starts Ray Train's workers, tells how they get on, and says how it ended.

It gets the address of its spec and nothing else; what it must reach, and with which keys, is in the environment of the Ray
head. It loads Ray but no torch: only the workers do, for each import of torch costs seconds.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import threading
from typing import Any

from pydantic import ValidationError

from components.train import lost
from components.train.checkpoints import Checkpoints, Epoch
from components.train.spec import REFUSAL, Refusal, Spec, require_same
from tiphys.errors import EXIT_PERMANENT, TiphysError
from tiphys.lake.s3 import S3

_POLL_S = 0.5
_WORKER_FAILURES = 1
_PREEMPTIONS = 3
_WAIT_S = "300"
"""Seconds to wait for a node with room, one that an autoscaler brings included; Ray's variable in the head's environment wins."""

log = logging.getLogger("components.train.job")


def main() -> int:
    """Run the training that the spec describes; the exit code is that of tiphys.errors."""
    parser = argparse.ArgumentParser(prog="python -m components.train.job", description=main.__doc__)
    parser.add_argument("--spec", required=True, help="s3://BUCKET/KEY of the spec that the step train wrote")
    address = parser.parse_args().spec
    logging.basicConfig(format="train: %(message)s", level=logging.WARNING, stream=sys.stdout)
    log.setLevel(logging.INFO)
    try:
        store = S3()
        spec = Spec.model_validate_json(store.get(address))
        store.delete(spec.at(REFUSAL))
    except ValidationError:
        log.error("the step train is of another release than the Ray cluster: give both one image")  # noqa: TRY400
        return EXIT_PERMANENT
    except TiphysError as error:  # S3 cannot be told: the step reads the last line
        log.error("%s", error)  # noqa: TRY400 - a message for a person
        return error.exit_code
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(Checkpoints(S3(), spec.prefix), done), daemon=True)
    teller.start()
    try:
        require_same(spec, "the head of the Ray cluster")
        _run(spec)
    except Exception as error:  # noqa: BLE001 - Ray's errors have many types; the code says whether to try again
        meaning = lost.meaning_of(error)
        if meaning is None:
            log.error("%s", error)  # noqa: TRY400 - the message holds the worker's traceback
            return 1
        refusal = Refusal(message=str(meaning), exit_code=meaning.exit_code)
        store.put(spec.at(REFUSAL), refusal.model_dump_json().encode())
    finally:
        done.set()
        teller.join()
    return _refused(store, spec)


def _run(spec: Spec) -> None:
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", _WAIT_S)
    import ray  # noqa: PLC0415 - the variables above come first
    from ray.train import RunConfig, ScalingConfig  # noqa: PLC0415
    from ray.train.v2.api.config import FailureConfig  # noqa: PLC0415
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer  # noqa: PLC0415

    ray.init(address="auto", logging_level=logging.WARNING, log_to_driver=False)
    log.info("starting workers")
    failures = FailureConfig(
        max_failures=_WORKER_FAILURES, controller_failure_limit=0, max_preemption_failures=_PREEMPTIONS
    )
    # Ray Train's own notes, read by this job alone: checkpoints go to S3, so nodes need no folder in common.
    with tempfile.TemporaryDirectory() as folder:
        DataParallelTrainer(
            _worker,
            train_loop_config=spec.model_dump(),
            scaling_config=ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
            run_config=RunConfig(name="train", storage_path=folder, failure_config=failures),
        ).fit()


def _worker(told: dict[str, Any]) -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve each other on shared cores
    from components.train.fit import loop  # noqa: PLC0415 - loads torch and Lightning, in the worker only

    loop(told)


def _refused(store: S3, spec: Spec) -> int:
    if store.find(spec.at(REFUSAL)) is None:
        return 0
    refusal = Refusal.model_validate_json(store.get(spec.at(REFUSAL)))
    log.error("%s", refusal.message)
    return refusal.exit_code


def _tell(checkpoints: Checkpoints, done: threading.Event) -> None:
    """Say each epoch when its checkpoint is there."""
    told = {each.epoch for each in checkpoints.epochs()}
    last = False
    while not last:
        last = done.wait(_POLL_S)
        for each in checkpoints.epochs(told):
            told.add(each.epoch)
            log.info("%s", _told(each))


def _told(epoch: Epoch) -> str:
    train = "" if epoch.train_mae is None else f"train {epoch.train_mae:.1f}, "
    return f"epoch {epoch.epoch + 1}: {train}validation {epoch.validation_mae:.1f} ({epoch.seconds:.1f} s)"


if __name__ == "__main__":
    sys.exit(main())
