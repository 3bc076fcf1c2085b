"""The work of ``package``: one layer with the model repository, on Triton's image where there is one, pushed by digest.

Neither a daemon nor a privilege is needed: a layer is an archive, an image two texts of JSON, a registry an HTTP API.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from components.package.contract import Inputs, Outputs
from tiphys import __version__
from tiphys.errors import DataError, SettingsError
from tiphys.lake.s3 import S3
from tiphys.oci import image as images
from tiphys.oci.layout import Layout
from tiphys.oci.push import fetch_base, push
from tiphys.oci.reference import Reference
from tiphys.serving import manifest, model_image
from tiphys.serving.manifest import Manifest
from tiphys.settings import PackageSettings, RegistrySettings, load
from tiphys.step import Context

log = logging.getLogger(__name__)


def run(inputs: Inputs, context: Context) -> Outputs:
    """Fetch, check, assemble, push.

    Raises:
        DataError: the repository is not what its digest says.
        SettingsError: there is a base but no registry that could have it.
        PermanentError: the registry refuses.
        RetryableError: S3 or the registry is away.
    """
    store, settings = S3(), load(RegistrySettings)
    triton = load(PackageSettings).triton_image
    if triton and not settings.registry:
        message = (
            "TIPHYS_TRITON_IMAGE is set, but TIPHYS_REGISTRY is not: an image on a base lies in a registry; set both"
        )
        raise SettingsError(message)
    with tempfile.TemporaryDirectory(prefix="package-") as scratch:
        folder, layer = Path(scratch) / "repository", Path(scratch) / "layer.tar"
        found = fetch(inputs, store, folder)
        images.write_layer(model_image.names(folder, tuple(found.files)), layer)
        base = fetch_base(triton, settings) if triton else None
        said = labels(inputs, found, context.revision)
        image = images.assemble(layer, model_image.CONTENT, said, base, loads(base, found.model))
        name = publish(image, inputs, store, settings, base)
    log.info("%s (%.1f MB)", name, image.size / 1e6)
    return Outputs(image=str(name), digest=name.digest, bytes=image.size)


def fetch(inputs: Inputs, store: S3, folder: Path) -> Manifest:
    """Copy the repository into a folder, every file compared with its digest.

    Raises:
        DataError: it is not what the digests say, or another version's.
        RetryableError: S3 is away.
    """
    text = store.get(inputs.repository + manifest.MANIFEST)
    found = manifest.parse(text, inputs.manifest_sha256, inputs.repository + manifest.MANIFEST)
    require(found, inputs)
    for path, digest in found.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        store.download(inputs.repository + path, folder / path, digest.sha256)
    (folder / manifest.MANIFEST).write_bytes(text)
    return found


def require(found: Manifest, inputs: Inputs) -> None:
    """Refuse a repository of another model: a built-in use case goes by its short name, its package stands in the manifest.

    Raises:
        DataError: it is one.
    """
    wanted = (inputs.use_case.rpartition(".")[2], inputs.model_version.rpartition("/")[2])
    if (found.model, found.version) != wanted:
        message = f"{inputs.repository} has version {found.version} of {found.model!r}, not {inputs.model_version}"
        raise DataError(message)


def labels(inputs: Inputs, found: Manifest, revision: str) -> dict[str, str]:
    """What the image says of itself; all of it follows from the inputs and the revision, nothing from the clock."""
    return {
        "org.opencontainers.image.title": f"{inputs.use_case} {found.version}",
        "org.opencontainers.image.description": f"Triton model repository of {inputs.model_version}",
        "org.opencontainers.image.version": found.version,
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.created": images.EPOCH,
        "io.tiphys.version": __version__,
        "io.tiphys.use-case": inputs.use_case,
        "io.tiphys.model-version": inputs.model_version,
        "io.tiphys.dataset": inputs.dataset,
        "io.tiphys.manifest-sha256": inputs.manifest_sha256,
        "io.tiphys.model-sha256": ",".join(found.files[path].sha256 for path in found.onnx_paths),
    }


def loads(base: images.Base | None, model: str) -> list[str]:
    """What Triton has to be told to load the model as it starts, where its image lets it load nothing by itself."""
    told = (base.config.get("config") or {}).get("Cmd") or () if base else ()
    return [f"--load-model={model}"] if "--model-control-mode=explicit" in told else []


def publish(
    image: images.Image, inputs: Inputs, store: S3, settings: RegistrySettings, base: images.Base | None
) -> Reference:
    """Put the image into the registry, or into S3 where there is none; return its name by digest.

    Raises:
        PermanentError: the registry refuses.
        RetryableError: S3 or the registry is away.
    """
    bucket, _, key = inputs.repository.removeprefix("s3://").rstrip("/").partition("/")
    if not settings.registry:
        where = f"s3://{bucket}/images/{key}"
        Layout(where, store).write(image)
        return Reference(where, image.digest)
    model, _, tag = key.rpartition("/")
    return push(image, f"{settings.registry.rstrip('/')}/models/{model}", tag, settings, base)
