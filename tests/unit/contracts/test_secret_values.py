"""A manifest that holds a secret's value is refused before anything is written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiphys.cli import main
from tiphys.errors import PermanentError
from tiphys.rendering import text
from tiphys.secret_values import secret_values
from tiphys.settings import PROJECT, present_secrets, variables
from tiphys.stack.keys import ensure
from tiphys.step import contracts

pytestmark = pytest.mark.unit
_RANDOM = hashlib.sha1(b"made up", usedforsecurity=False).hexdigest()


def _workflow(env: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"image": "busybox", "command": ["true"], "env": [env] if env else []}
    template = {"name": "main", "container": container}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "planted"},
        "spec": {"entrypoint": "main", "templates": [template], **spec},
    }


@pytest.mark.parametrize("name", sorted(each.name for each in variables() if each.secret))
def test_a_secret_variable_with_its_value_written_down(name: str) -> None:
    """Whatever the value looks like: even a tag would put it into the workflow's status."""
    for value in ("x", "{{workflow.parameters.token}}"):
        (found,) = secret_values(_workflow({"name": name, "value": value}))
        assert found.startswith("spec.templates[main].container.env[" + name + "].value holds")
        assert "secretKeyRef" in found


@pytest.mark.parametrize("name", ["DB_PASSWORD", "GITHUB_TOKEN", "apikey", "SOME_API_KEY", "client-secret"])
def test_a_variable_that_is_called_as_secrets_are(name: str) -> None:
    """Those of other programs, too, unless the value is filled in when it runs."""
    assert secret_values(_workflow({"name": name, "value": "hunter2"}))
    assert not secret_values(_workflow({"name": name, "value": "{{inputs.parameters.x}}"}))
    assert not secret_values(_workflow({"name": name, "value": ""}))


def test_a_secret_variable_that_refers_to_a_secret_is_well() -> None:
    """As every manifest should."""
    reference = {"secretKeyRef": {"name": "tiphys-etl", "key": "TIPHYS_S3_SECRET_KEY"}}
    assert not secret_values(_workflow({"name": "TIPHYS_S3_SECRET_KEY", "valueFrom": reference}))


@pytest.mark.parametrize(
    "planted",
    [
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
        "-----BEGIN PRIVATE KEY-----\nMIIE",
        "curl -H 'Authorization: Bearer " + _RANDOM + "' http://example.org",
        "eyJhbGciOiJI" + ".eyJzdWIiOiIx." + _RANDOM,
        "ghp_" + "a1" * 18,
        "glpat-" + _RANDOM[:20],
        "xoxb-" + _RANDOM[:24],
        "AIza" + "b" * 35,
        "postgresql://lake:" + _RANDOM + "@127.0.0.1:5432/lake",
    ],
)
def test_the_shape_of_a_well_known_key(planted: str) -> None:
    """Anywhere in the manifest; the message says where and what, and does not repeat it."""
    document = _workflow(arguments={"parameters": [{"name": "script", "value": f"echo {planted}"}]})
    (found,) = secret_values(document)
    assert found.startswith("spec.arguments.parameters[script].value holds a")
    assert _RANDOM not in found
    assert planted not in found


def test_a_secret_of_this_machine_wherever_it_stands(tmp_path: Path) -> None:
    """Each key of the embedded servers, inside of a longer text; too short a text is no secret."""
    for value in ensure(tmp_path / "keys.json", contracts()).values():
        (found,) = secret_values(_workflow(onExit=f"say-{value}!"), [value])
        assert found.startswith("spec.onExit holds the value of a secret of this machine")
        assert value not in found
    assert not secret_values(_workflow(onExit="main"), ["main"])


def test_the_environments_secrets_are_known() -> None:
    """Those that are set, and no variable that may be shown."""
    assert present_secrets({"TIPHYS_RAY_TOKEN": _RANDOM, "TIPHYS_RAY_URL": "http://r", "TIPHYS_LEDGER_TOKEN": ""}) == {
        _RANDOM
    }


def test_rendering_refuses_it_and_names_every_place() -> None:
    """Two planted ones: both places, the workflow's name, and neither value."""
    document = _workflow({"name": "TIPHYS_RAY_TOKEN", "value": _RANDOM}, onExit=_RANDOM)
    with pytest.raises(PermanentError, match="nothing was written") as refused:
        text([document], [_RANDOM])
    assert "WorkflowTemplate planted: spec.onExit" in str(refused.value)
    assert "env[TIPHYS_RAY_TOKEN].value" in str(refused.value)
    assert _RANDOM not in str(refused.value)


def test_lint_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`tiphys lint` exits 1 with the place."""
    monkeypatch.setenv("TIPHYS_HOME", str(tmp_path / "home"))
    file = tmp_path / "planted.yaml"
    file.write_text(yaml.safe_dump(_workflow({"name": "X", "value": "AKIA" + "ABCDEFGHIJKLMNOP"})))
    assert main(["lint", str(file)]) == 1
    assert "env[X].value holds an AWS access key id" in capsys.readouterr().out


_OURS = sorted((PROJECT / "workflows" / "rendered").glob("*.yaml"))
_GOLDEN = sorted((PROJECT / "tests" / "golden").rglob("*.yaml"))


@pytest.mark.parametrize("file", [*_OURS, *_GOLDEN], ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_no_manifest_of_ours_or_of_argos_is_taken_for_one(file: Path) -> None:
    """No false alarm."""
    for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CBaseLoader):
        assert not secret_values(document) or document.get("kind") == "Secret"
