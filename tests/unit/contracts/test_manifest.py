"""Templates made from contracts carry what a cluster needs, and nothing a person typed meets a shell."""

from __future__ import annotations

from typing import Literal

import pytest

from components.summary.contract import CONTRACT
from tiphys.engine.expressions import evaluate_bool, expand
from tiphys.manifest import RETRY_WHEN, seconds, template
from tiphys.step import Contract, StepInputs, StepOutputs, contracts, cores, size

pytestmark = pytest.mark.unit


def test_inputs_arrive_as_one_json_file() -> None:
    """No parameter stands in the command line."""
    built = template(CONTRACT)._build_template()
    assert built.container is not None
    assert built.container.command == ["python", "-m", "components.summary"]
    assert built.container.args == ["--inputs", "/tmp/tiphys/inputs.json"]
    assert "{{" not in " ".join([*built.container.command, *built.container.args])


def test_credentials_come_from_the_components_own_secret() -> None:
    """Addresses from the shared ConfigMap, credentials from tiphys-<component>, no value in the manifest."""
    built = template(CONTRACT)._build_template()
    assert built.container is not None
    sources = built.container.env_from or []
    assert [each.config_map_ref.name for each in sources if each.config_map_ref] == ["tiphys"]
    assert [each.secret_ref.name for each in sources if each.secret_ref] == ["tiphys-summary"]


def test_every_template_has_limits_a_deadline_and_retries() -> None:
    """Nothing runs for ever or takes a whole node."""
    for contract in contracts().values():
        built = template(contract)._build_template()
        assert built.active_deadline_seconds
        assert built.retry_strategy is not None
        assert built.container is not None
        assert built.container.resources is not None
        assert set(built.container.resources.limits or {}) == {"cpu", "memory"}


def test_a_step_never_asks_for_more_than_it_may_take() -> None:
    """Requests up to limits, room in /tmp with a bound."""
    for contract in contracts().values():
        given = contract.resources
        assert 0 < cores(given.cpu) <= cores(given.cpu_limit)
        assert 0 < size(given.memory) <= size(given.memory_limit)
        (volume,) = template(contract)._build_template().volumes or []
        assert volume.empty_dir is not None
        assert volume.empty_dir.size_limit is not None


def test_retries_end_by_their_number_and_not_by_the_age_of_the_first_attempt() -> None:
    """Argo counts maxDuration from the start of the first attempt: an hour's work would never be tried again."""
    for contract in contracts().values():
        strategy = template(contract)._build_template().retry_strategy
        assert strategy is not None
        assert strategy.backoff is not None
        assert strategy.backoff.max_duration is None
        assert strategy.limit is not None
        assert strategy.limit.root == contract.retries


OUT_OF_MEMORY = "main: OOMKilled (exit code 137)"
LATE = "Pod was active on the node longer than the specified deadline"
FULL = 'Usage of EmptyDir volume "tmp" exceeds the limit "64Mi". '
DISK = 'Container main exceeded its local ephemeral storage limit "1Gi". '
PRESSED = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. Container main was using 2Gi, which exceeds its request of 1Gi. "
SHUT_DOWN = "Pod was terminated in response to imminent node shutdown."


@pytest.mark.parametrize(
    ("status", "code", "message", "again"),
    [
        ("Error", "-1", "pod deleted", True),
        ("Failed", "143", "main: Error (exit code 143)", True),
        ("Failed", "137", "main: Error (exit code 137)", True),
        ("Failed", "75", "main: Error (exit code 75)", True),
        ("Failed", "-1", SHUT_DOWN, True),
        ("Failed", "143", SHUT_DOWN, True),
        ("Failed", "137", PRESSED, True),
        ("Failed", "0", SHUT_DOWN, True),
        ("Failed", "-1", "Preempted in order to admit critical pod", True),
        ("Failed", "137", OUT_OF_MEMORY, False),
        ("Failed", "143", LATE, False),
        ("Failed", "137", FULL, False),
        ("Failed", "137", DISK, False),
        ("Failed", "65", "main: Error (exit code 65)", False),
        ("Failed", "1", "main: Error (exit code 1)", False),
        ("Failed", "64", "main: Error (exit code 64)", False),
    ],
)
def test_what_is_tried_again(status: str, code: str, message: str, again: bool) -> None:  # noqa: FBT001
    """A node that went away and a server that was away; not what would pass the same limit, or be wrong, once more."""
    last = {"lastRetry.status": status, "lastRetry.exitCode": code, "lastRetry.message": message}
    assert evaluate_bool(RETRY_WHEN, expand(last)) is again


def test_an_input_without_a_default_has_none() -> None:
    """Or Argo would run the step with the text null for it."""

    class Inputs(StepInputs):
        """Inputs."""

        needed: str
        empty: str = ""
        absent: int | None = None
        choice: Literal["a", "b"] = "a"
        flag: bool = False

    built = template(Contract("x", "x", Inputs, StepOutputs, "pure"))._build_template()
    assert built.inputs is not None
    found = {each.name: each.model_dump(by_alias=True, exclude_none=True) for each in built.inputs.parameters or []}
    assert found == {
        "needed": {"name": "needed"},
        "empty": {"name": "empty", "default": ""},
        "absent": {"name": "absent", "default": ""},
        "choice": {"name": "choice", "default": "a", "enum": ["a", "b"]},
        "flag": {"name": "flag", "default": "false", "enum": ["true", "false"]},
    }


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("10m", 600), ("2h", 7200)])
def test_durations_are_read_in_seconds(text: str, expected: int) -> None:
    """Argo's deadline is a number of seconds."""
    assert seconds(text) == expected
