"""Templates made from contracts carry what a cluster needs, and nothing a person typed meets a shell."""

from __future__ import annotations

import pytest

from components.summary.contract import CONTRACT
from tiphys.manifest import seconds, template
from tiphys.step import contracts

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


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("10m", 600), ("2h", 7200)])
def test_durations_are_read_in_seconds(text: str, expected: int) -> None:
    """Argo's deadline is a number of seconds."""
    assert seconds(text) == expected
