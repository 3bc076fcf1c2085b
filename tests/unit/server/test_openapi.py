"""The OpenAPI document against the table of routes, and the table against what Argo 4.1.2 has."""

from __future__ import annotations

import json
import re

import pytest

from tiphys.engine.server.openapi import document
from tiphys.engine.server.routes import operations

pytestmark = pytest.mark.unit
_PLACE = re.compile(r"\{(\w+):\w+\}")
ARGO = {  # how many operations each of Argo's services has
    "ArchivedWorkflowService": 7, "ClusterWorkflowTemplateService": 6, "CronWorkflowService": 8, "EventSourceService": 7,
    "EventService": 2, "InfoService": 4, "SensorService": 7, "SyncService": 4, "WorkflowService": 17,
    "WorkflowTemplateService": 6, "ArtifactService": 5,
}  # fmt: skip


def test_every_operation_of_argo_is_answered() -> None:
    """One route each, and one of ours: a file within an artifact."""
    names = [each.name for each in operations()]

    assert len(names) == len(set(names))
    counted = {service: sum(name.startswith(f"{service}_") for name in names) for service in ARGO}
    assert counted == ARGO | {"ArtifactService": 6}


def test_the_document_has_every_route_and_every_schema() -> None:
    """Nothing is in the one that is not in the other."""
    table = operations()
    found = json.loads(document({each.method: each} for each in ()))
    assert found["paths"] == {}
    by_path: dict[str, dict[str, object]] = {}
    for each in table:
        by_path.setdefault(each.path, {})[each.method] = each
    found = json.loads(document(by_path.values()))  # type: ignore[arg-type]

    assert {(method.upper(), path) for path, methods in found["paths"].items() for method in methods} == {
        (each.method, _PLACE.sub(r"{\1}", each.path)) for each in table
    }
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(found)))
    assert named <= set(found["components"]["schemas"])


def test_every_operation_says_how_it_refuses() -> None:
    """With Argo's error body."""
    by_path: dict[str, dict[str, object]] = {}
    for each in operations():
        by_path.setdefault(each.path, {})[each.method] = each
    found = json.loads(document(by_path.values()))  # type: ignore[arg-type]

    for methods in found["paths"].values():
        for operation in methods.values():
            for status in ("400", "401", "403", "404"):
                assert operation["responses"][status]["content"]["application/json"]["schema"]["$ref"].endswith(
                    "/Error"
                )
