"""Several models that answer as one: Triton's configuration of an ensemble, made from what each of its parts takes and gives.

Names are the wiring: a tensor that one part gives is taken by every later part that has an input of that name. All tensors are
``[rows, 1]``; what parts hand on is float32. It knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiphys.serving.manifest import Part

TRITON_TYPES: Mapping[str, str] = {"int64": "INT64", "float32": "FP32"}
"""A tensor's type -> its name in Triton's protocol."""


def tensors(named: Mapping[str, str]) -> str:
    """Return the lines of inputs or outputs: name -> int64 or float32."""
    return ",\n".join(
        f'  {{ name: "{name}" data_type: TYPE_{TRITON_TYPES[dtype]} dims: [ 1 ] }}' for name, dtype in named.items()
    )


def wrong_wiring(inputs: Mapping[str, str], outputs: Sequence[str], parts: Mapping[str, Part]) -> str:
    """Say what does not fit together, or nothing.

    Args:
        inputs: of the whole.
        outputs: of the whole.
        parts: in the order in which they are asked.
    """
    there = dict(inputs)
    for name, part in parts.items():
        for tensor, dtype in part.inputs.items():
            if there.get(tensor) != dtype:
                return f"part {name!r} takes {dtype} {tensor!r}, which nothing before it gives"
        for tensor in part.outputs:
            if tensor in there:
                return f"part {name!r} gives {tensor!r}, which is there already"
            there[tensor] = "float32"
    missing = [each for each in outputs if each in inputs or there.get(each) != "float32"]
    return f"no part gives {missing[0]!r}" if missing else ""


def config(  # noqa: PLR0913, PLR0917 - all that the text is made of
    model: str,
    version: str,
    inputs: Mapping[str, str],
    outputs: Sequence[str],
    parts: Mapping[str, Part],
    max_batch_size: int,
) -> str:
    """Return the ``config.pbtxt`` of the whole, each part asked in the same version."""
    steps = ",\n".join(_step(name, version, part) for name, part in parts.items())
    return f"""name: "{model}"
platform: "ensemble"
max_batch_size: {max_batch_size}
input [
{tensors(inputs)}
]
output [
{tensors(dict.fromkeys(outputs, "float32"))}
]
version_policy: {{ specific: {{ versions: [ {version} ] }} }}
ensemble_scheduling {{
  step [
{steps}
  ]
}}
"""


def _step(name: str, version: str, part: Part) -> str:
    taken = " ".join(f'input_map {{ key: "{each}" value: "{each}" }}' for each in part.inputs)
    given = " ".join(f'output_map {{ key: "{each}" value: "{each}" }}' for each in part.outputs)
    return f'    {{ model_name: "{name}" model_version: {version} {taken} {given} }}'
