"""Steps whose name is known only when their template is called."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tiphys.engine import RunState

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("body", "node"),
    [
        ('steps: [[{name: "a-{{inputs.parameters.t}}", template: leaf}]]', "wf[0].a-5"),
        ('dag: {tasks: [{name: "a-{{inputs.parameters.t}}", template: leaf}]}', "wf.a-5"),
    ],
)
def test_a_step_may_be_named_by_an_input(run: Callable[..., RunState], body: str, node: str) -> None:
    """Its node has the name filled in."""
    done = run(f"""
kind: Workflow
metadata: {{name: wf}}
spec:
  entrypoint: main
  templates:
  - {{name: main, inputs: {{parameters: [{{name: t, value: "5"}}]}}, {body}}}
  - {{name: leaf, suspend: {{duration: "0"}}}}
""")
    assert done.phase == "Succeeded"
    assert node in {each.name for each in done.nodes.values()}
