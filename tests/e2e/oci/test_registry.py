"""Images pushed to and fetched from a real registry, and every way in which one refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.registries import (
    PASSWORD,
    USER,
    Registry,
    TokenServer,
    authority,
    free_port,
    get,
    one_that_answers,
    with_login,
)
from tiphys.errors import DataError, PermanentError, RetryableError
from tiphys.lake.s3 import S3
from tiphys.oci import image as images
from tiphys.oci.image import Image
from tiphys.oci.pull import pull_layer
from tiphys.oci.push import fetch_base, push
from tiphys.oci.reference import Reference
from tiphys.oci.registry import ImageNotThereError
from tiphys.oci.registry import Registry as Client
from tiphys.settings import RegistrySettings, S3Settings

pytestmark = pytest.mark.e2e

NewRegistry = Callable[..., Registry]
NO_S3 = S3(S3Settings("http://127.0.0.1:1", "", "", ""), patience=0.5)
LABELS = {"org.opencontainers.image.title": "a test", "io.tiphys.model-version": "models:/eta/7"}


def made(folder: Path, content: bytes = b"weights" * 1000, base: images.Base | None = None) -> Image:
    """An image of two files; one that stands on another has the same kind of layer twice."""
    folder.mkdir(exist_ok=True)
    (folder / "model").write_bytes(content)
    (folder / "config").write_bytes(b"config")
    files = {"models/eta/7/model.onnx": folder / "model", "models/eta/config.pbtxt": folder / "config"}
    images.write_layer(files, folder / "layer.tar")
    return images.assemble(folder / "layer.tar", "files", LABELS, base)


def fetched(reference: Reference, settings: RegistrySettings, target: Path, patience: float = 0.5) -> bytes:
    """The layer, as somebody else gets it."""
    store = S3(NO_S3.settings, patience=patience)
    pull_layer(reference, "files", 1 << 20, target, store=store, settings=settings)
    return target.read_bytes()


def test_what_is_pushed_is_fetched_by_its_digest(new_registry: NewRegistry, tmp_path: Path) -> None:
    """Byte for byte; pushed twice it is one image, and its layer is sent once."""
    registry, image = new_registry(), made(tmp_path / "image")
    where = f"{registry.host}/team/models/eta"
    first = push(image, where, "7-abc", registry.settings())
    assert push(image, where, "7-abc", registry.settings()) == first == Reference(where, image.digest)
    assert fetched(first, registry.settings(), tmp_path / "got") == image.layer.read_bytes()
    assert get(registry.host, "team/models/eta/manifests/7-abc").headers["Docker-Content-Digest"] == image.digest
    sent = [each for each in registry.log.splitlines() if "PUT" in each and image.own_layer.digest[7:] in each]
    assert len([each for each in sent if "response completed" in each]) == 1


def test_an_image_on_a_base_takes_its_layers_over_without_sending_them(
    new_registry: NewRegistry, tmp_path: Path
) -> None:
    """In the same registry they are mounted; from another they are copied; the result is the same image."""
    registry, other = new_registry(), new_registry()
    below = push(made(tmp_path / "base", b"triton"), f"{registry.host}/team/triton", "1", registry.settings())
    base = fetch_base(str(below), registry.settings())
    image = made(tmp_path / "image", base=base)
    for target in (registry, other):
        put = push(image, f"{target.host}/team/models/eta", "7", target.settings(), base)
        assert fetched(put, target.settings(), tmp_path / f"got-{target.port}") == image.layer.read_bytes()
        assert get(target.host, f"team/models/eta/blobs/{base.manifest.layers[0].digest}").status == 200
    mounted = [each for each in registry.log.splitlines() if "mount=" in each and "response completed" in each]
    assert any("http.response.status=201" in each for each in mounted)


@pytest.mark.usefixtures("container_tools")
def test_buildah_pulls_it_by_digest_and_finds_labels_and_files(new_registry: NewRegistry, tmp_path: Path) -> None:
    """Another program's word that it is an image."""
    registry = new_registry()
    below = push(made(tmp_path / "base", b"triton"), f"{registry.host}/team/triton", "1", registry.settings())
    base = fetch_base(str(below), registry.settings())
    image = made(tmp_path / "image", base=base)
    name = str(push(image, f"{registry.host}/team/models/eta", "7", registry.settings(), base))
    place = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]

    def buildah(*words: str) -> str:
        command = ["buildah", *place, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()

    buildah("pull", "--tls-verify=false", name)
    seen = json.loads(buildah("inspect", "--type", "image", name))
    assert seen["FromImageDigest"] == image.digest
    assert seen["OCIv1"]["config"]["Labels"].items() >= LABELS.items()
    container = buildah("from", "--pull-never", name)
    root = Path(buildah("mount", container))
    assert (root / "models/eta/7/model.onnx").read_bytes() == b"weights" * 1000
    buildah("rm", container)


def test_a_login_opens_a_registry_and_nothing_else_does(new_registry: NewRegistry, tmp_path: Path) -> None:
    """Right password; wrong password; none: the message names the user and the remedy, and shows no password."""
    registry, image = new_registry(**with_login(tmp_path)), made(tmp_path / "image")
    where = f"{registry.host}/team/eta"
    put = push(image, where, "7", registry.settings(USER))
    assert fetched(put, registry.settings(USER), tmp_path / "got") == image.layer.read_bytes()
    with pytest.raises(PermanentError, match=r"401 .* does not know user 'ann'; put a docker config.json") as refusal:
        push(image, where, "7", registry.settings(USER, "wrong-word"))
    assert "wrong-word" not in str(refusal.value)
    with pytest.raises(PermanentError, match="does not know nobody: TIPHYS_REGISTRY_AUTH has no login for it"):
        fetched(put, registry.settings(), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_token_is_fetched_where_the_registry_wants_one(new_registry: NewRegistry, tmp_path: Path) -> None:
    """It is asked for with the login, for exactly what is to be done; who has no login may pull what all may pull."""
    server = TokenServer(authority(tmp_path))
    registry, image = new_registry(**server.settings()), made(tmp_path / "image")
    put = push(image, f"{registry.host}/team/eta", "7", registry.settings(USER))
    assert "repository:team/eta:pull,push" in [
        ",".join(sorted(each.rpartition(":")[2].split(","))).join([each.rpartition(":")[0] + ":", ""])
        for each in server.asked
    ]
    assert fetched(put, registry.settings(), tmp_path / "got") == image.layer.read_bytes()
    with pytest.raises(PermanentError, match="401"):
        push(made(tmp_path / "more", b"more"), f"{registry.host}/team/eta", "8", registry.settings())
    server.close()


def test_a_certificate_of_nobody_is_not_trusted(
    new_registry: NewRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its authority in SSL_CERT_FILE it is; one without TLS is not spoken to unless it is listed."""
    vouching = authority(tmp_path)
    secure, plain, image = new_registry(http=vouching.tls()), new_registry(), made(tmp_path / "image")
    for registry in (secure, plain):
        with pytest.raises(PermanentError, match=r"cannot be trusted: .* let SSL_CERT_FILE"):
            push(image, f"{registry.host}/team/eta", "7", registry.settings(plain_http="elsewhere"))
    monkeypatch.setenv("SSL_CERT_FILE", str(vouching.file))
    put = push(image, f"{secure.host}/team/eta", "7", secure.settings(plain_http=""))
    assert fetched(put, secure.settings(plain_http=""), tmp_path / "got") == image.layer.read_bytes()


def test_a_registry_that_is_not_there_may_be_tried_again(new_registry: NewRegistry, tmp_path: Path) -> None:
    """A closed port, a name that is none, a server that hangs: retryable, within the time allowed."""
    hanging = new_registry()
    assert hanging.process is not None
    hanging.process.send_signal(signal.SIGSTOP)
    for host in (f"127.0.0.1:{free_port()}", "nobody.invalid", hanging.host):
        settings = RegistrySettings(f"{host}/team", "", host)
        with pytest.raises(RetryableError, match=r"does not answer.*is TIPHYS_REGISTRY right"):
            fetched(Reference(f"{host}/team/eta", "sha256:" + "0" * 64), settings, tmp_path / "got")


def test_a_registry_that_comes_back_gets_the_whole_image(new_registry: NewRegistry, tmp_path: Path) -> None:
    """Killed before the push, started while it is being tried: nobody notices."""
    registry, image = new_registry(), made(tmp_path / "image")
    registry.stop()
    done: list[Any] = []
    pushing = threading.Thread(
        target=lambda: done.append(push(image, f"{registry.host}/team/eta", "7", registry.settings()))
    )
    pushing.start()
    registry.start()
    pushing.join(90)
    assert fetched(done[0], registry.settings(), tmp_path / "got") == image.layer.read_bytes()


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (403, PermanentError, "DENIED not yours; it knows user 'ann', who may not: give that account the right"),
        (404, PermanentError, "make the project or repository there first"),
        (405, PermanentError, "it is read-only"),
        (413, PermanentError, "limits the size of requests"),
        (400, PermanentError, "its own log says more"),
        (429, RetryableError, "it can be tried again"),
        (500, RetryableError, "it can be tried again"),
        (503, RetryableError, "it can be tried again"),
    ],
)
def test_a_refusal_says_what_to_do(tmp_path: Path, status: int, kind: type[Exception], says: str) -> None:
    """Its own words, what was asked of it, and the remedy; what cannot get better is asked once."""
    image = made(tmp_path / "image")
    said = json.dumps({"errors": [{"code": "DENIED", "message": "not yours"}]}).encode()
    with one_that_answers(status, said) as (host, asked):
        registry = Registry(tmp_path, int(host.rpartition(":")[2]))
        client = Client(host, registry.settings(USER), patience=0.5)
        with pytest.raises(kind) as refusal:
            client.put_manifest("team/eta", image.manifest, "7")
    assert says in str(refusal.value)
    assert f"answers {status} to a push of {host}/team/eta:7" in str(refusal.value)
    assert PASSWORD not in str(refusal.value)
    assert (len(asked) == 1) == (kind is PermanentError)


def test_a_registry_that_is_read_only_says_so(new_registry: NewRegistry, tmp_path: Path) -> None:
    """Debian's registry in maintenance."""
    readonly = {"maintenance": {"readonly": {"enabled": True}, "uploadpurging": {"enabled": False}}}
    registry = new_registry(storage=readonly)
    with pytest.raises(PermanentError, match="it is read-only: name another in TIPHYS_REGISTRY"):
        push(made(tmp_path / "image"), f"{registry.host}/team/eta", "7", registry.settings())


def test_an_image_that_was_never_pushed_is_named(new_registry: NewRegistry, tmp_path: Path) -> None:
    """It is not tried again: nobody will push it meanwhile."""
    registry = new_registry()
    missing = Reference(f"{registry.host}/team/eta", "sha256:" + "0" * 64)
    with pytest.raises(ImageNotThereError, match="was never pushed, or was deleted"):
        fetched(missing, registry.settings(), tmp_path / "got")


@pytest.mark.parametrize("which", ["layer", "manifest"])
def test_a_flipped_byte_is_found(new_registry: NewRegistry, tmp_path: Path, which: str) -> None:
    """Whoever can write the registry's disk cannot change what a digest stands for; nothing of it is kept."""
    registry, image = new_registry(), made(tmp_path / "image")
    put = push(image, f"{registry.host}/team/eta", "7", registry.settings())
    file = registry.blob(image.own_layer.digest if which == "layer" else image.digest)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises((DataError, RetryableError)) as refusal:  # the registry itself looks at manifests
        fetched(put, registry.settings(), tmp_path / "got")
    assert put.where in str(refusal.value)
    assert not (tmp_path / "got").exists()


def test_nobody_is_sent_to_another_registry(new_registry: NewRegistry, tmp_path: Path) -> None:
    """A release that names a foreign host is refused before that host hears of it."""
    registry = new_registry()
    with one_that_answers(200) as (host, asked):
        for where in (f"{host}/team/eta", f"{registry.host}/teammate/eta"):
            with pytest.raises(DataError, match="images come from TIPHYS_REGISTRY"):
                fetched(Reference(where, "sha256:" + "0" * 64), registry.settings(), tmp_path / "got")
    assert asked == []
