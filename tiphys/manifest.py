"""From contracts to Argo: the template of a component, in Hera.

Everything a manifest says of a step comes from its contract: parameters, artifacts, credentials, resources, retries,
deadlines. Outside of Python names are kebab-case. Rendering loads Hera and the contracts, never Spark or torch.
"""

from __future__ import annotations

import json
from typing import Any, cast

from hera.workflows import Artifact as HeraArtifact
from hera.workflows import (
    ConfigMapEnvFrom,
    Container,
    EmptyDirVolume,
    Env,
    NoneArchiveStrategy,
    Parameter,
    RawArtifact,
    Resources,
    RetryPolicy,
    RetryStrategy,
    SecretEnvFrom,
)
from hera.workflows import models as m
from pydantic_core import PydanticUndefined

from tiphys import __version__
from tiphys.errors import EXIT_RETRYABLE
from tiphys.placement import IMAGE_PREFIX
from tiphys.step import ARTIFACTS_FOLDER, INPUTS_FILE, PARAMETERS_FOLDER, Contract

CONFIG_MAP = "tiphys"
RETRY_WHEN = f"lastRetry.status == 'Error' || asInt(lastRetry.exitCode) in [{EXIT_RETRYABLE}, 137, 143]"
"""Retried: the pod was lost (Error), a server was away, or the process was killed; nothing else gets better."""

_INPUTS = "{{=sprig.replace('$', '$$', toJson(inputs.parameters))}}"


def kebab(name: str) -> str:
    """Return a Python name as the outside writes it."""
    return name.replace("_", "-")


def template(contract: Contract) -> Container:
    """Make the Argo template of a component."""
    return Container(
        name=contract.template,
        annotations={"workflows.argoproj.io/description": contract.summary},
        image=f"{IMAGE_PREFIX}/{contract.template}:{__version__}",
        command=["python", "-m", f"components.{contract.name}"],
        args=["--inputs", str(INPUTS_FILE)],
        inputs=[*_parameters(contract), RawArtifact(name="inputs", path=str(INPUTS_FILE), data=_INPUTS)],
        outputs=[*_outputs(contract), *_artifacts(contract)],
        env=[
            Env(name="TIPHYS_RUN", value="{{workflow.name}}"),
            Env(name="TIPHYS_NODE", value="{{pod.name}}"),
            Env(name="TIPHYS_ATTEMPT", value="{{retries}}"),
        ],
        env_from=[ConfigMapEnvFrom(name=CONFIG_MAP), SecretEnvFrom(name=f"tiphys-{contract.template}")],
        resources=Resources(
            cpu_request=contract.resources.cpu,
            cpu_limit=contract.resources.cpu_limit,
            memory_request=contract.resources.memory,
            memory_limit=contract.resources.memory_limit,
        ),
        volumes=[EmptyDirVolume(name="tmp", mount_path="/tmp")],  # noqa: S108 - the pod's own
        active_deadline_seconds=seconds(contract.timeout),
        retry_strategy=RetryStrategy(
            limit=contract.retries,
            retry_policy=RetryPolicy.always,
            expression=RETRY_WHEN,
            backoff=m.Backoff(duration="5s", factor=2, max_duration="5m"),
        ),
    )


def seconds(duration: str) -> int:
    """Convert ``90s``, ``10m`` or ``2h`` to seconds."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


def _parameters(contract: Contract) -> list[Parameter]:
    found = []
    for name, each in contract.inputs.model_fields.items():
        default = None if each.default is PydanticUndefined else _text(each.default)
        found.append(Parameter(name=kebab(name), description=each.description, default=default))
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _outputs(contract: Contract) -> list[Parameter]:
    return [
        Parameter(
            name=kebab(name),
            description=each.description,
            global_name=f"{contract.template}-{kebab(name)}",
            value_from=m.ValueFrom(path=str(PARAMETERS_FOLDER / name)),
        )
        for name, each in contract.parameters().items()
    ]


def _artifacts(contract: Contract) -> list[HeraArtifact]:
    return [
        HeraArtifact(name=kebab(name), path=str(ARTIFACTS_FOLDER / file), archive=cast("Any", NoneArchiveStrategy()))
        for name, file in contract.artifacts().items()
    ]
