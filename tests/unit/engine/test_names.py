"""Names and keys that end in a newline are not the names that they seem to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, load_text

pytestmark = pytest.mark.unit
RUN = 'container: {image: "debian:12", command: ["true"]}'


def spec(main: str, rest: str = "") -> list[dict[str, Any]]:
    """A Workflow of the template `main` and others."""
    return load_text(
        f"kind: Workflow\nmetadata: {{name: w}}\nspec:\n  entrypoint: main\n  templates:\n  - {{{main}}}\n  - {{name: leaf, {RUN}}}\n{rest}"
    )


@pytest.mark.parametrize(
    "main",
    [
        'name: main, steps: [[{name: "a\\n", template: leaf}]]',
        'name: main, dag: {tasks: [{name: "a\\n", template: leaf}]}',
        f'name: main, inputs: {{parameters: [{{name: "a\\n", value: x}}]}}, {RUN}',
        f'name: main, sidecars: [{{name: "a\\n", image: "debian:12", command: [x]}}], {RUN}',
    ],
)
def test_a_name_that_ends_in_a_newline_is_refused(tmp_path: Path, main: str) -> None:
    """As with Go's regular expressions, where $ is the very end."""
    with pytest.raises(ManifestError, match=r"'a\n' is invalid"):
        Engine(tmp_path).check(spec(main))
    Engine(tmp_path).check(json.loads(json.dumps(spec(main)).replace("a\\n", "a")))


def test_a_template_is_not_called_with_a_newline(tmp_path: Path) -> None:
    """Nor is anything else that becomes a pod's name."""
    with pytest.raises(ManifestError, match="is invalid"):
        Engine(tmp_path).check(spec(f"name: main, {RUN}", f'  - {{name: "b\\n", {RUN}}}\n'))


def test_a_memo_key_that_ends_in_a_newline_is_an_error(machine: Any) -> None:
    """It would be another key than the one without."""
    run = machine(f'  - {{name: main, memoize: {{key: "k\\n", cache: {{configMap: {{name: c}}}}}}, {RUN}}}\n')
    assert (run.node("wf").phase, run.node("wf").message) == ("Error", "invalid cache key: k\n")


def test_a_label_that_ends_in_a_newline_is_refused(tmp_path: Path) -> None:
    """Kubernetes would refuse it."""
    documents = spec(f"name: main, {RUN}")
    documents[0]["spec"]["workflowMetadata"] = {"labelsFrom": {"who": {"expression": '"a\\n"'}}}
    with pytest.raises(ManifestError, match="invalid label value"):
        Engine(tmp_path).submit(documents)
