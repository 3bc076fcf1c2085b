"""What lies behind a server's guarded door is not open beside it."""

from __future__ import annotations

import http.client
import io
from typing import TYPE_CHECKING

import pytest

from tiphys.stack.ports import Ports

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = pytest.mark.e2e


def ask(address: str, method: str, path: str, headers: dict[str, str] | None = None) -> int:
    """Status of one request."""
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request(method, path, headers=headers or {})
    return connection.getresponse().status


def test_the_filer_gives_no_object_without_a_token(stack: Stack) -> None:
    """SeaweedFS's filer, behind the S3 gateway, answers signed requests only."""
    engine = stack.s3("engine")
    engine.put_object("artifacts", "secret.txt", io.BytesIO(b"secret"), 6)
    filer = Ports(stack.settings.port_base).address("s3_filer")
    for method in ("GET", "PUT", "POST", "DELETE"):
        assert ask(filer, method, "/buckets/artifacts/secret.txt") in (401, 403), method
    assert engine.get_object("artifacts", "secret.txt").data == b"secret"


def test_mlflow_refuses_a_foreign_host_name(stack: Stack) -> None:
    """A page of another site that was rebound to this address gets nothing."""
    address = Ports(stack.settings.port_base).address("mlflow")
    path = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    assert ask(address, "GET", path) == 200
    assert ask(address, "GET", path, {"Host": "evil.example"}) == 403


def test_ray_refuses_whoever_has_no_token(stack: Stack) -> None:
    """Jobs can neither be listed nor submitted without the token."""
    ports = Ports(stack.settings.port_base)
    assert ask(ports.address("ray"), "GET", "/api/jobs/") == 401
    assert ask(ports.address("ray"), "POST", "/api/jobs/") == 401
    assert ask(ports.address("ray_agent_http"), "POST", "/api/job_agent/jobs/") == 401
