"""What is pushed by which command, and what a refusal means to a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.errors import PermanentError, RetryableError
from tiphys.images.builders import Builder
from tiphys.images.push import explained, push
from tiphys.images.recipes import recipes
from tiphys.placement import check_images
from tiphys.settings import RegistrySettings

pytestmark = pytest.mark.unit
TARGET = "r.example.org/tiphys/ingest:1"


def test_each_builder_pushes_the_image_by_its_id() -> None:
    """A tag could be built anew meanwhile; docker's second name for it goes again."""
    assert Builder("buildah").push("abc", TARGET) == [["buildah", "push", "abc", f"docker://{TARGET}"]]
    assert Builder("podman").push("abc", TARGET, plain_http=True)[0][2] == "--tls-verify=false"
    assert [each[1] for each in Builder("docker").push("abc", TARGET)] == ["tag", "push", "rmi"]


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("Error: authentication required", PermanentError, "log in with 'podman login r.example.org'"),
        ("Error: writing blob: denied: requested access", PermanentError, "log in with"),
        ("Error: open /var/tmp/x: permission denied", RetryableError, "can't be pushed"),
        ("Error: x509: certificate signed by unknown authority", PermanentError, "TIPHYS_REGISTRY_PLAIN_HTTP"),
        ("Error: http: server gave HTTP response to HTTPS client", PermanentError, "TIPHYS_REGISTRY_PLAIN_HTTP"),
        ("Error: dial tcp: connection refused", RetryableError, "connection refused"),
        ("", RetryableError, "it said nothing"),
    ],
)
def test_a_refusal_says_what_to_do(said: str, kind: type[Exception], told: str) -> None:
    """A login, a certificate and a server that is away are three things."""
    found = explained(Builder("podman"), TARGET, said, Path("x.log"))
    assert type(found) is kind
    assert told in str(found)


@pytest.mark.parametrize("registry", ["ingest", "team/images", "https://r.example.org", "r.example.org/", "-x.org"])
def test_what_is_no_registry_is_refused(registry: str) -> None:
    """The name of an image or a folder would be pushed to docker.io."""
    with pytest.raises(PermanentError, match="is none"):
        check_images(registry, "")


def test_an_empty_registry_is_no_registry(tmp_path: Path) -> None:
    """A variable that was not set."""
    with pytest.raises(PermanentError, match="no registry is named"):
        list(push(Builder("buildah"), [], "", "1", logs=tmp_path, settings=RegistrySettings("", "", "")))


@pytest.mark.parametrize("registry", ["localhost/x", "localhost:5000", "r.example.org", "registry:5000/team"])
def test_a_registry_is_a_host(registry: str) -> None:
    """With a dot, a port, or this machine's own name."""
    check_images(registry, "1")


@pytest.mark.parametrize(
    ("setting", "plain"),
    [
        ("b.org,", {"b.org", "b.org:5000"}),
        ("a.org, b.org:5000,,", {"a.org", "a.org:5000", "b.org:5000"}),
        ("", set()),
    ],
)
def test_only_what_is_named_has_no_tls(setting: str, plain: set[str]) -> None:
    """A stray comma names nothing."""
    hosts = ("a.org", "a.org:5000", "b.org", "b.org:5000", "c.org")
    assert {host for host in hosts if RegistrySettings("", "", setting).is_plain(host)} == plain


def test_what_only_mounts_its_tools_names_them() -> None:
    """Builders compare the words of a command, not what it mounts."""
    texts = [each.dockerfile.read_text(encoding="utf-8") for each in recipes().values()]
    mounting = [text for text in texts if "--mount=type=bind,from=" in text]
    assert mounting
    assert all("\nARG BUILDER\n" in text and ': "${BUILDER}"' in text for text in mounting)
