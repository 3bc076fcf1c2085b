"""What serves comes out of an image by its digest: from S3 or from a registry, and from nothing that only looks like it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Stack
from tests.e2e.registries import USER, Registry, get, with_login
from tests.e2e.serving.conftest import TINY, Shop
from tiphys import stack as servers
from tiphys.errors import PermanentError
from tiphys.oci import reference
from tiphys.release.records import Release
from tiphys.stack import probes
from tiphys.stack.servers import triton
from tiphys.stack.spec import Plan
from tiphys.step import contracts

pytestmark = pytest.mark.e2e


def refused(shop: Shop, release: Release) -> str:
    """Release it, and return why the agent refuses it."""
    recorded = shop.release(release)
    with pytest.raises(PermanentError) as refusal:
        shop.ledger().wait_until_served(recorded, 60)
    return str(refusal.value)


def blob_of(release: Release, which: str) -> str:
    """Where S3 has the manifest of a release's image, or its layer."""
    image = reference.parse(release.image)
    return f"{image.where}/blobs/{(image.digest if which == 'manifest' else which).replace(':', '/')}"


def layer_of(shop: Shop, release: Release) -> str:
    """The digest of the layer of a release's image."""
    found = json.loads(shop.store("package").get(blob_of(release, "manifest")))["layers"]
    assert len(found) == 1
    return str(found[0]["digest"])


def test_the_agent_says_which_image_serves(shop: Any) -> None:
    """By digest; what is released next does not change that before it serves."""
    release = shop.put(shop.make(60.0))
    served = shop.ledger().wait_until_served(shop.release(release), 60)
    assert served.image == release.image
    wrong = shop.put(shop.make(61.0, onnx=b"no model"))
    refused(shop, wrong)
    observed = shop.ledger().current("staging").observed["tiny"]
    assert (observed.state, observed.image) == ("failed", release.image)


def test_a_model_that_cannot_be_loaded_is_no_reason_to_start_triton_anew(shop: Any) -> None:
    """Triton calls itself not ready then, and goes on answering: the supervisor must not take all other models away."""
    old = shop.serve(60.5)
    refused(shop, shop.put(shop.make(61.0, onnx=b"no model")))
    address = shop.stack.config["TIPHYS_STAGING_HTTP"]
    with pytest.raises(OSError, match="400"):
        probes.http_ok(address, "/v2/health/ready")
    triton.server(Plan(shop.stack.settings, None), "staging").alive()  # type: ignore[arg-type]  # it has no secret
    assert shop.answer() == (121.0, old.version)


@pytest.mark.parametrize("which", ["layer", "manifest"])
def test_a_flipped_byte_in_the_image_is_refused(shop: Any, which: str) -> None:
    """The message names the blob; the old model serves on."""
    old = shop.serve(62.0)
    release = shop.put(shop.make(63.0))
    uri = blob_of(release, which if which == "manifest" else layer_of(shop, release))
    content = bytearray(shop.store("package").get(uri))
    content[len(content) // 2] ^= 1
    shop.store("package").put(uri, bytes(content))
    assert uri in refused(shop, release)
    assert shop.answer() == (124.0, old.version)


def test_an_image_of_another_model_is_refused(shop: Any) -> None:
    """Its digest is right, but it holds another repository than the release pins."""
    old = shop.serve(64.0)
    other = shop.put(shop.make(65.0))
    release = shop.put(shop.make(66.0)).model_copy(update={"image": other.image})
    assert "manifest.json has sha256" in refused(shop, release)
    assert shop.answer() == (128.0, old.version)


def test_an_image_that_is_not_there_is_refused(shop: Any) -> None:
    """Even if the very same files are on disk, from an image of another name."""
    release = shop.put(shop.make(67.0))
    old = shop.ledger().wait_until_served(shop.release(release), 60)
    gone = release.model_copy(update={"image": release.image[:-8] + "00000000", "run": "another"})
    assert "does not exist" in refused(shop, gone)
    assert shop.answer() == (134.0, old.version)


def test_a_release_without_an_image_is_refused(shop: Any) -> None:
    """It was made before there were images; nothing is fetched for it."""
    old = shop.serve(68.0)
    release = shop.put(shop.make(69.0)).model_copy(update={"image": ""})
    assert "without an image: run the pipeline again" in refused(shop, release)
    assert shop.answer() == (136.0, old.version)


@pytest.fixture
def registered(
    stack: Stack, new_registry: Callable[..., Registry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Shop, Registry]]:
    """The session's stack, told of a registry with a login; it forgets it at the end."""
    registry = new_registry(**with_login(tmp_path))
    settings = registry.settings(USER)
    monkeypatch.setenv("TIPHYS_REGISTRY", settings.registry)
    monkeypatch.setenv("TIPHYS_REGISTRY_AUTH", settings.auth)
    info = servers.up(stack.settings, contracts(), lambda _: None)
    yield Shop(Stack(stack.settings, info.config_map, info.secrets), number=9500), registry
    monkeypatch.undo()
    servers.up(stack.settings, contracts(), lambda _: None)


def packaged(shop: Shop, factor: float, folder: Path) -> Release:
    """Put a model into S3 and package it as the pipeline does; its release."""
    release = shop.put(shop.make(factor))
    inputs = {"use_case": TINY, "model_version": release.model_version, "dataset": "tiny.served@v-1"}
    repository = {"repository": release.repository, "manifest_sha256": release.manifest_sha256}
    shop.step("package", folder, **inputs, **repository)
    image = (folder / "outputs/image").read_text()
    return release.model_copy(update={"image": image})


def test_a_model_is_served_from_the_registry_by_digest(registered: tuple[Shop, Registry], tmp_path: Path) -> None:
    """The step pushes with its login, the agent fetches with its own; two runs of the step name one image."""
    shop, registry = registered
    release = packaged(shop, 70.0, tmp_path / "one")
    assert release.image.startswith(f"{registry.host}/team/models/tiny@sha256:")
    assert packaged(shop, 70.0, tmp_path / "other").image != release.image, "another version has another image"
    again = packaged_again(shop, release, tmp_path / "again")
    assert again == release.image
    served = shop.ledger().wait_until_served(shop.release(release), 60)
    assert served.image == release.image
    assert shop.answer() == (140.0, release.number)
    assert get(registry.host, "team/models/tiny/tags/list").status == 401


def packaged_again(shop: Shop, release: Release, folder: Path) -> str:
    """Run the step once more for the same repository; the image it names."""
    inputs = {"use_case": TINY, "model_version": release.model_version, "dataset": "tiny.served@v-1"}
    shop.step("package", folder, **inputs, repository=release.repository, manifest_sha256=release.manifest_sha256)
    return (folder / "outputs/image").read_text()


def test_a_registry_that_is_away_stops_no_rider(
    registered: tuple[Shop, Registry], tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """The old model serves on, the agent says what it waits for, and goes on when the registry is back."""
    shop, registry = registered
    old = packaged(shop, 71.0, tmp_path / "old")
    shop.ledger().wait_until_served(shop.release(old), 60)
    new = packaged(shop, 72.0, tmp_path / "new")
    registry.stop()
    recorded = shop.release(new)

    def waits() -> bool:
        """The agent says that the registry does not answer."""
        observed = shop.ledger().current("staging").observed["tiny"]
        return observed.generation == recorded.generation and "does not answer" in observed.message

    eventually(waits)
    observed = shop.ledger().current("staging").observed["tiny"]
    assert (observed.state, observed.image) == ("loading", old.image)
    assert shop.answer() == (142.0, old.number)
    registry.start()
    assert shop.ledger().wait_until_served(recorded, 90).image == new.image
    assert shop.answer() == (144.0, new.number)


def test_a_registry_that_refuses_fails_the_step_with_its_reason(
    registered: tuple[Shop, Registry], tmp_path: Path
) -> None:
    """Wrong login: not retried, and no secret in what the step says."""
    shop, registry = registered
    release = shop.put(shop.make(73.0))
    wrong = registry.settings(USER, "wrong-word").auth
    shop.stack.secrets["package"]["TIPHYS_REGISTRY_AUTH"] = wrong
    inputs = {"use_case": TINY, "model_version": release.model_version, "dataset": "tiny.served@v-1"}
    repository = {"repository": release.repository, "manifest_sha256": release.manifest_sha256}
    said, _ = shop.step("package", tmp_path / "step", code=65, **inputs, **repository)
    assert "does not know user 'ann'" in said
    assert "wrong-word" not in said
    assert wrong not in said
