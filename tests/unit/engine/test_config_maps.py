"""Parameters from ConfigMaps: only from those with Argo's label."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.engine import Engine, load_text
from tiphys.engine.config_maps import TYPE

pytestmark = pytest.mark.unit
SUSPEND = "suspend: {duration: '0'}"


def run(tmp_path: Path, labels: str, inputs: str = "", arguments: str = "") -> tuple[str, str]:
    """The phase and message of a run beside the ConfigMap `c`, whose key k is v."""
    engine = Engine(tmp_path)
    name = engine.submit(
        load_text(
            f"kind: ConfigMap\nmetadata: {{name: c, labels: {{{labels}}}}}\ndata: {{k: v}}\n---\n"
            "kind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: main\n"
            f"  arguments: {{parameters: [{arguments}]}}\n"
            f"  templates: [{{name: main, inputs: {{parameters: [{inputs}]}}, {SUSPEND}}}]\n"
        )
    )
    done = engine.run(name, handle_signals=False)
    return done.phase, done.message


@pytest.mark.parametrize(
    ("labels", "key", "default", "message"),
    [
        (f"{TYPE}: Parameter", "k", "", ""),
        (f"{TYPE}: Parameter", "none", "", "ConfigMap 'c' does not have the key 'none'"),
        (f"{TYPE}: Parameter", "none", ", default: d", ""),
        ("", "k", "", "ConfigMap 'c' does not exist. Please make sure it has the label"),
        ("", "k", ", default: d", ""),
        (f"{TYPE}: Cache", "k", "", f"ConfigMap 'c' needs to have the label {TYPE}: Parameter to load parameters"),
        (f"{TYPE}: Cache", "k", ", default: d", "to load parameters"),
    ],
)
def test_an_input_comes_from_a_labelled_config_map_only(
    tmp_path: Path, labels: str, key: str, default: str, message: str
) -> None:
    """A default stands in for what is not found, but not for a wrong label (common/configmap.go)."""
    source = f"{{name: p, valueFrom: {{configMapKeyRef: {{name: c, key: {key}}}{default}}}}}"
    phase, said = run(tmp_path, labels, source)
    assert phase == ("Error" if message else "Succeeded")
    assert message in said
    assert ("unable to retrieve inputs.parameters.p from ConfigMap: " in said) == bool(message)


@pytest.mark.parametrize(
    ("labels", "default", "fails"),
    [(f"{TYPE}: Parameter", "", False), ("", "", True), (f"{TYPE}: Cache", "", True), (f"{TYPE}: Cache", ", default: d", False)],
)  # fmt: skip
def test_an_argument_comes_from_a_labelled_config_map_only(
    tmp_path: Path, labels: str, default: str, *, fails: bool
) -> None:
    """Here a default stands in for everything (operator.go setGlobalParameters)."""
    source = f"{{name: p, valueFrom: {{configMapKeyRef: {{name: c, key: k}}{default}}}}}"
    phase, said = run(tmp_path, labels, arguments=source)
    assert phase == ("Failed" if fails else "Succeeded")
    assert ("failed to set global parameter p from configmap with name c and key k: ConfigMap 'c' " in said) == fails
