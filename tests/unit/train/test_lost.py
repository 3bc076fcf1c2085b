"""What Ray's failures mean, and that nothing trains under another's name."""

from __future__ import annotations

import pytest

from components.train import lost
from components.train.ray_job import Ended
from components.train.spec import Spec, digest_of, made_with, require_same
from components.train.step import _is_lost, _Words
from tiphys.errors import PermanentError, RetryableError, SettingsError

pytestmark = pytest.mark.unit

TINY = "tests.usecases.tiny"


class WorkersFailedError(Exception):
    """As Ray Train tells that workers failed."""

    def __init__(self, cause: Exception) -> None:
        """Carry what the first worker raised."""
        super().__init__("Training failed due to worker errors")
        self.worker_failures = {0: cause}


def test_a_complaint_of_ours_comes_back_from_the_worker_as_it_was() -> None:
    """A worker without its Secret says which variables are missing; Ray wraps that once."""
    complaint = SettingsError("not set: TIPHYS_S3_ACCESS_KEY")
    wrapped = Exception("RayTaskError")
    wrapped.__cause__ = complaint
    assert lost.meaning_of(WorkersFailedError(wrapped)) is complaint
    assert lost.meaning_of(WorkersFailedError(complaint)) is complaint


def test_a_worker_that_was_lost_can_be_tried_again() -> None:
    """The next attempt goes on."""
    from ray.exceptions import RayActorError  # noqa: PLC0415 - seconds

    assert isinstance(lost.meaning_of(WorkersFailedError(RayActorError())), RetryableError)


def test_a_defect_stays_one() -> None:
    """No exit code hides it."""
    assert lost.meaning_of(WorkersFailedError(ZeroDivisionError())) is None


def spec(digest: str) -> Spec:
    """A training of the tiny use case."""
    return Spec(
        use_case=TINY, dataset="tiny.boilings@v-1", epochs=1, seed=2, digest=digest, made_with="tiphys 0.0.9, torch 1.0"
    )


def test_other_code_does_not_train_under_this_one_s_name() -> None:
    """Both are named, and what to do."""
    require_same(spec(digest_of(TINY, TINY, "tiny.boilings@v-1", 1, 2)), "the worker")
    with pytest.raises(
        PermanentError, match=r"the worker has other code .*tiphys 0\.0\.9, torch 1\.0.*very image"
    ) as refused:
        require_same(spec("0" * 20), "the worker")
    assert made_with() in str(refused.value)


def test_a_job_s_last_words_are_kept_for_the_message() -> None:
    """Blank lines do not count, our own mark is no part of them."""
    words = _Words()
    for line in ("2026 INFO job_manager", "train: not set: TIPHYS_S3_ENDPOINT", ""):
        words(line)
    assert words.last == "not set: TIPHYS_S3_ENDPOINT"


@pytest.mark.parametrize(
    ("status", "message", "again"),
    [
        ("FAILED", "Job entrypoint command failed with exit code 75, last available logs", True),
        ("FAILED", "Job supervisor actor died: the node was lost", True),
        ("FAILED", "Job supervisor actor could not be scheduled: x", True),
        ("STOPPED", "", True),
        ("FAILED", "Job entrypoint command failed with exit code 1, last ...\nexit code 75 says the supervisor", False),
    ],
)
def test_a_job_that_did_not_fail_by_itself_is_tried_again(status: str, message: str, again: bool) -> None:  # noqa: FBT001
    """Ray's first line decides; what the job wrote after it does not."""
    assert _is_lost(Ended(status, message)) is again
