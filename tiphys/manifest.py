"""From contracts to Argo: the template of a component, in Hera. What holds for all pods of a workflow is in ``workflow``.

Everything a manifest says of a step comes from its contract: parameters, artifacts, credentials, resources, retries,
deadlines. Outside of Python names are kebab-case. Rendering
loads Hera and the contracts, never Spark or torch. docs/architecture/09-manifest.md has the reasons.
"""

from __future__ import annotations

import hashlib
import json
import typing
from typing import Any, Literal, cast

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
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tiphys import __version__
from tiphys.errors import EXIT_RETRYABLE
from tiphys.placement import IMAGE_PREFIX
from tiphys.settings import PROJECT
from tiphys.step import ARTIFACTS_FOLDER, INPUTS_FILE, PARAMETERS_FOLDER, Contract

CONFIG_MAP = "tiphys"
SERVICE_ACCOUNT = "tiphys"
"""What steps run as. It may do nothing in the cluster, and its token is in no pod."""
USER = 65532
"""The user and the group of every container, Argo's own included: the images are made for it."""

BUILDER_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID",
    "SYS_ADMIN", "SYS_CHROOT",
)  # fmt: skip
"""What buildah takes to build with `--isolation chroot` (found by leaving out one after the other): what it gives a
container by default, and SYS_ADMIN for its mounts."""

CONTRACT_DIGITS = 12
"""So many digits of its contract's digest stand in a template, for an engine to see that it was rendered from another."""

_AGAIN = [-1, 0, EXIT_RETRYABLE, 137, 143]
RETRY_WHEN = (
    f"lastRetry.status == 'Error' || (asInt(lastRetry.exitCode) in {_AGAIN} && "
    "!(lastRetry.message matches 'OOMKilled|specified deadline|exceeds the|exceeded its'))"
)
"""Retried: the pod was lost (Error, no exit code, or 0 although it failed), a server was away, the process was killed.

Not retried: the step was killed because it passed a limit of its own (memory, time, room on the disk), which it
would pass again, and every other exit code, which says that nothing gets better.
"""

_INPUTS = "{{=sprig.replace('$', '$$', toJson(inputs.parameters))}}"


def kebab(name: str) -> str:
    """Return a Python name as the outside writes it."""
    return name.replace("_", "-")


def template(contract: Contract) -> Container:
    """Make the Argo template of a component."""
    return Container(
        **(_as_root() if contract.root else {}),
        name=contract.template,
        annotations={"workflows.argoproj.io/description": contract.summary, **_excuse(contract), **_effects(contract)},
        labels={"app.kubernetes.io/component": contract.template},
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
        volumes=[EmptyDirVolume(name="tmp", mount_path="/tmp", size_limit=cast("Any", contract.resources.scratch))],  # noqa: S108
        active_deadline_seconds=seconds(contract.timeout),
        retry_strategy=RetryStrategy(
            limit=contract.retries,
            retry_policy=RetryPolicy.always,
            expression=RETRY_WHEN,
            # No maxDuration: Argo counts it from the start of the first attempt, so that an hour's work whose node
            # was taken away would never be tried again.
            backoff=m.Backoff(duration="5s", factor=2),
        ),
        **_account(contract),
    )


def _excuse(contract: Contract) -> dict[str, str]:
    return {"tiphys/needs-root": contract.root} if contract.root else {}


def _effects(contract: Contract) -> dict[str, str]:
    """What lets an engine use a kept result again: plain annotations for Argo. docs/architecture/12-cache.md has the rest."""
    said: dict[str, str] = {"tiphys/effects": contract.effects}
    if contract.effects == "external":
        return said
    said["tiphys/evidence"] = json.dumps(contract.evidence(), sort_keys=True, separators=(",", ":"))
    source = PROJECT / "components" / contract.name / "contract.py"
    if source.is_file():
        said["tiphys/contract"] = hashlib.sha256(source.read_bytes()).hexdigest()[:CONTRACT_DIGITS]
    return said


def _as_root() -> dict[str, Any]:
    """What a step that cannot run as nobody asks for instead: root, and what mounting and unpacking images takes.

    It is not `privileged`: no device of the node, no other namespace than its own. A namespace at the level `restricted`
    or `baseline` refuses it; docs/architecture/06-serving-and-release.md says what to do there.
    """
    return {
        "pod_security_context": m.PodSecurityContext(
            run_as_non_root=False,
            run_as_user=0,
            run_as_group=0,
            fs_group=0,
            seccomp_profile=m.SeccompProfile(type="Unconfined"),
        ),
        "security_context": m.SecurityContext(
            allow_privilege_escalation=True,  # Kubernetes wants it said beside SYS_ADMIN
            capabilities=m.Capabilities(drop=["ALL"], add=list(BUILDER_CAPABILITIES)),
            read_only_root_filesystem=True,
        ),
    }


def _account(contract: Contract) -> dict[str, Any]:
    """An account of its own for a component that makes pods.

    True is no token yet: Argo then leaves it to the ServiceAccount, and so to the cluster, whether there is one.
    """
    if not contract.access.pods:
        return {}
    return {"service_account_name": f"{SERVICE_ACCOUNT}-{contract.template}", "automount_service_account_token": True}


def seconds(duration: str) -> int:
    """Convert ``90s``, ``10m`` or ``2h`` to seconds."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


def _parameters(contract: Contract) -> list[Parameter]:
    return [_parameter(kebab(name), each) for name, each in contract.inputs.model_fields.items()]


def _parameter(name: str, field: FieldInfo) -> Parameter:
    """One input. Hera takes a default of None for the text `null`, so one without a default must not be given any."""
    choices = _choices(field.annotation)
    given: dict[str, Any] = {"enum": choices} if choices else {}
    if field.default is not PydanticUndefined:
        given["default"] = _text(field.default)
    return Parameter(name=name, description=field.description, **given)


def _choices(annotation: Any) -> list[str]:
    """The values that a parameter may have, if they can be listed."""
    if annotation is bool:
        return ["true", "false"]
    return [_text(each) for each in typing.get_args(annotation)] if typing.get_origin(annotation) is Literal else []


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
