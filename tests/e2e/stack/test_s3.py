"""The S3 server gives each principal its own buckets and no more."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

import pytest
import urllib3
from minio import Minio
from minio.error import S3Error

from tiphys.stack.keys import BUCKETS
from tiphys.stack.ports import Ports

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = pytest.mark.e2e


def put(client: Minio, bucket: str, key: str, body: bytes) -> None:
    """Put one object."""
    client.put_object(bucket, key, io.BytesIO(body), len(body))


def code_of(error: pytest.ExceptionInfo[S3Error]) -> str:
    """S3's own word for the refusal."""
    return str(error.value.code)


def test_a_writer_reads_back_what_it_wrote(stack: Stack) -> None:
    """The engine keeps artifacts in its bucket, more than one of SeaweedFS's chunks long."""
    body = bytes(range(256)) * 40_000
    put(stack.s3("engine"), "artifacts", "run/node/report.bin", body)
    assert stack.s3("engine").get_object("artifacts", "run/node/report.bin").data == body


def test_no_bucket_takes_the_room_of_another(stack: Stack) -> None:
    """Volumes do not run out before the disk does: SeaweedFS may make far more than would fit if each were full."""
    body = b"x" * 1000
    for writer, bucket in {"ingest": "raw", "etl": "lake", "export": "models", "engine": "artifacts"}.items():
        put(stack.s3(writer), bucket, "room/x", body)
    master = Ports(stack.settings.port_base).address("s3_master")
    topology = urllib3.request("GET", f"http://{master}/dir/status").json()["Topology"]
    fitting = shutil.disk_usage(stack.settings.home).free / 2**30
    assert topology["Free"] > max(1000, 2 * fitting)


def test_a_read_key_cannot_write_or_delete(stack: Stack) -> None:
    """The agent reads models; it can neither put one nor remove one."""
    agent = stack.s3("agent_production")
    assert list(agent.list_objects("models")) is not None
    with pytest.raises(S3Error) as refused:
        put(agent, "models", "forged/model.onnx", b"x")
    assert code_of(refused) == "AccessDenied"
    with pytest.raises(S3Error) as refused:
        agent.remove_object("models", "any")
    assert code_of(refused) == "AccessDenied"


@pytest.mark.parametrize("bucket", [each for each in BUCKETS if each != "artifacts"])
def test_a_key_opens_no_other_bucket(stack: Stack, bucket: str) -> None:
    """The engine's key neither lists nor writes what is not its own."""
    engine = stack.s3("engine")
    with pytest.raises(S3Error) as refused:
        list(engine.list_objects(bucket))
    assert code_of(refused) == "AccessDenied"
    with pytest.raises(S3Error) as refused:
        put(engine, bucket, "x", b"x")
    assert code_of(refused) == "AccessDenied"


def test_nobody_makes_or_removes_buckets(stack: Stack) -> None:
    """Even a writer cannot remove its bucket or make another."""
    engine = stack.s3("engine")
    with pytest.raises(S3Error):
        engine.remove_bucket("artifacts")
    with pytest.raises(S3Error):
        engine.make_bucket("another")


def test_nobody_comes_in_without_a_key(stack: Stack) -> None:
    """Requests that are not signed, or with a wrong secret, are refused."""
    endpoint = stack.config["TIPHYS_S3_ENDPOINT"].removeprefix("http://")
    with pytest.raises(S3Error) as refused:
        list(Minio(endpoint, secure=False).list_objects("models"))
    assert code_of(refused) == "AccessDenied"
    known = stack.secrets["agent_staging"]["TIPHYS_S3_ACCESS_KEY"]
    with pytest.raises(S3Error) as refused:
        list(Minio(endpoint, known, "guessed", secure=False).list_objects("models"))
    assert code_of(refused) == "SignatureDoesNotMatch"
