"""A cluster's API server admits every pod of ours into a namespace that enforces `restricted`; nothing is started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tiphys.engine.merge import with_defaults
from tiphys.settings import PROJECT

Json = dict[str, Any]
pytestmark = pytest.mark.cluster
TEMPLATES = [
    pytest.param(document["spec"], template, id=f"{file.stem}-{template['name']}")
    for file in sorted((PROJECT / "workflows" / "rendered").glob("*.yaml"))
    for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    for template in document["spec"].get("templates", [])
    if "container" in template
]
NEED_ROOT = ("build-images",)
"""The one exception: the server has to refuse it here, so that nobody takes it for harmless."""
EXECUTOR = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""What the cluster's guide has Argo's controller put on its own containers."""


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """A namespace of the test's own, gone afterwards."""
    if not shutil.which("kubectl") or not os.environ.get("KUBECONFIG"):
        pytest.skip("kubectl and KUBECONFIG are needed")
    name = f"tiphys-restricted-{uuid.uuid4().hex[:8]}"
    # The second label asks a test cluster without a network plug-in to leave the pods as they are.
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "test-cluster/host-network": "no"}
    kubectl("apply", document={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    for account in ("tiphys", "tiphys-etl", "tiphys-batch-score", "tiphys-collect-outcomes"):
        metadata = {"name": account, "namespace": name}
        kubectl("apply", document={"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def kubectl(*arguments: str, document: Json | None = None) -> subprocess.CompletedProcess[str]:
    """One command, with a document for its standard input."""
    given = ["-f", "-"] if document else []
    return subprocess.run(
        ["kubectl", *arguments, *given], input=json.dumps(document), capture_output=True, text=True, check=False
    )


def pod(spec: Json, template: Json, executor: Json | None) -> Json:
    """The pod that Argo makes of a template, with its own two containers."""
    whole = with_defaults(template, spec["templateDefaults"])
    own = {"image": "argoexec", **({"securityContext": executor} if executor else {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": template["name"],
            "labels": spec["podMetadata"]["labels"] | template["metadata"]["labels"],
        },
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": template.get("serviceAccountName", spec["serviceAccountName"]),
            "automountServiceAccountToken": template.get("automountServiceAccountToken", False),
            "securityContext": template.get("securityContext", spec["securityContext"]),
            "activeDeadlineSeconds": template["activeDeadlineSeconds"],
            "volumes": template["volumes"],
            "initContainers": [{"name": "init", **own}],
            "containers": [{"name": "wait", **own}, {"name": "main", **whole["container"]}],
        },
    }


@pytest.mark.parametrize(("spec", "template"), TEMPLATES)
def test_the_server_admits_the_pod(namespace: str, spec: Json, template: Json) -> None:
    """Once Argo's own containers are as the guide has them; but for the one step that asks for more."""
    done = kubectl("-n", namespace, "create", "--dry-run=server", document=pod(spec, template, EXECUTOR))
    assert (done.returncode == 0) == (template["name"] not in NEED_ROOT), done.stderr


@pytest.mark.parametrize(("spec", "template"), TEMPLATES[:1])
def test_argos_own_containers_are_the_only_ones_that_need_the_guide(namespace: str, spec: Json, template: Json) -> None:
    """Without the controller's setting the server names them, and never the step."""
    done = kubectl("-n", namespace, "create", "--dry-run=server", document=pod(spec, template, None))
    assert done.returncode != 0
    assert '"init", "wait"' in done.stderr
    assert "main" not in done.stderr
