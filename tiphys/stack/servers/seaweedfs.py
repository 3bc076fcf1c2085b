"""The S3 server: SeaweedFS in one process, an identity for every principal, and our buckets."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from tiphys.stack import probes
from tiphys.stack.keys import BUCKETS, Keys, Principal, write_private
from tiphys.stack.spec import Command, Plan, Run, Server

MAX_VOLUMES = 10_000
"""Most volumes of 1 GiB. By itself SeaweedFS would allow as many as fit on the disk if each were full, and give a bucket
seven at its first object: on a disk with 30 GB free the sixth bucket could store nothing."""

VOLUME_GROWTH = """[master.volume_growth]
copy_1 = 2
"""
"""A bucket starts with two volumes (one is written while another is compacted) and gets more when these are full."""


def server(plan: Plan) -> Server:
    """SeaweedFS: master, volumes, filer and S3 gateway, all on loopback; telemetry off."""
    address = plan.ports.address("s3")

    async def prepare(_run: Run) -> None:
        home = plan.layout.data("s3")
        (home / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
        plan.layout.s3_sockets.mkdir(mode=0o700, exist_ok=True)
        (home / ".seaweedfs").mkdir(mode=0o700, exist_ok=True)
        write_private(home / ".seaweedfs" / "security.toml", security(plan.keys.signing_key))
        write_private(home / ".seaweedfs" / "master.toml", VOLUME_GROWTH)
        write_private(plan.layout.secrets / "s3.json", json.dumps(identities(plan.keys), indent=1))

    def settle() -> None:
        make_buckets(address, plan.keys)

    return Server(
        name="s3",
        command=Command(_argv(plan), plan.environment("s3"), plan.layout.data("s3")),
        address=address,
        alive=lambda: probes.http_ok(address, "/healthz"),
        prepare=prepare,
        settle=settle,
        stop_within=3.0,  # its filer waits for its own subscribers; what it stored is on disk already
        stops_last=True,
        leaves=_sockets(plan),
        version=hashlib.sha256(json.dumps(identities(plan.keys)).encode()).hexdigest(),
    )


def _argv(plan: Plan) -> tuple[str, ...]:
    ports, home = plan.ports, plan.layout.data("s3")
    return (
        str(Path(sys.prefix) / "bin" / "weed"), "-logtostderr=true", "server",
        f"-dir={home / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
        f"-master.port={ports['s3_master']}", f"-master.port.grpc={ports['s3_master_grpc']}",
        "-master.volumeSizeLimitMB=1024",
        "-master.electionTimeout=1s",
        f"-volume.port={ports['s3_volume']}", f"-volume.port.grpc={ports['s3_volume_grpc']}",
        f"-volume.max={MAX_VOLUMES}", "-volume.preStopSeconds=0",
        "-filer", f"-filer.port={ports['s3_filer']}", f"-filer.port.grpc={ports['s3_filer_grpc']}",
        f"-filer.localSocket={plan.layout.s3_sockets / 'filer.sock'}",
        "-s3", f"-s3.port={ports['s3']}", f"-s3.port.grpc={ports['s3_grpc']}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-s3.autoCreateBucket=false",
        f"-s3.localSocket={plan.layout.s3_sockets / 's3.sock'}",
        f"-s3.config={plan.layout.secrets / 's3.json'}",
    )  # fmt: skip


def _sockets(plan: Plan) -> tuple[Path, ...]:
    """SeaweedFS puts the sockets of its gRPC ports here whatever TMPDIR says."""
    ports = {"master": "s3_master_grpc", "volume": "s3_volume_grpc", "filer": "s3_filer_grpc", "s3": "s3_grpc"}
    folder = Path("/tmp")  # noqa: S108 - not our choice
    return tuple(folder / f"seaweedfs-{kind}-grpc-{plan.ports[port]}.sock" for kind, port in ports.items())


def identities(keys: Keys) -> dict[str, list[dict[str, object]]]:
    """SeaweedFS's identities: an administrator for ourselves, and each principal with its own buckets only."""
    admin = _identity(
        "tiphys-admin", keys.admin_access_key, keys.admin_secret_key, ["Admin", "Read", "Write", "List", "Tagging"]
    )
    listed = [admin]
    for name, each in sorted(keys.principals.items()):
        if actions := _actions(each):
            listed.append(_identity(name, each.access_key, each.secret_key, actions))
    return {"identities": listed}


def _actions(principal: Principal) -> list[str]:
    readable = sorted({*principal.read, *principal.write})
    actions = [f"{verb}:{bucket}" for bucket in readable for verb in ("Read", "List")]
    return actions + [f"{verb}:{bucket}" for bucket in sorted(principal.write) for verb in ("Write", "Tagging")]


def _identity(name: str, access_key: str, secret_key: str, actions: list[str]) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": access_key, "secretKey": secret_key}], "actions": actions}


def security(key: str) -> str:
    """SeaweedFS's own servers answer each other only: every request behind the S3 gateway carries a signed token."""
    groups = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    return "".join(f'[{group}]\nkey = "{key}"\n' for group in groups)


def make_buckets(address: str, keys: Keys) -> None:
    """Make the buckets that are missing.

    Raises:
        minio.error.S3Error: the server refuses.
    """
    from minio import Minio  # noqa: PLC0415 - the supervisor loads it when there is something to make

    client = Minio(address, keys.admin_access_key, keys.admin_secret_key, secure=False)
    there = {each.name for each in client.list_buckets()}
    for bucket in BUCKETS:
        if bucket not in there:
            client.make_bucket(bucket)
