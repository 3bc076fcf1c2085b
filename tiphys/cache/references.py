"""What a name stands for now: prefixes, objects, dataset versions, models, runs, images; asked lightly of the servers themselves.

`content` is what a name in a key is replaced by. `proof` is what is kept of a name among the outputs, and `complaint` says
what is no longer so. Kinds are those of `tiphys.step.Refers`. Neither PyIceberg nor MLflow is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tiphys.cache import datasets, digests
from tiphys.cache.refusal import GoneError, NotCachedError
from tiphys.errors import DataError, TiphysError

if TYPE_CHECKING:
    from tiphys.lake.s3 import S3
    from tiphys.release.client import LedgerClient
    from tiphys.tracking import Tracking

Json = dict[str, Any]
PATIENCE = 3.0
"""Seconds that a server may be away: after that the step runs, and finds out by itself."""
MOST_OBJECTS = 20_000
_WHERE = "select metadata_location from iceberg_tables where catalog_name = 'lake' and table_namespace = %s and table_name = %s"
_PROVENANCE = frozenset({"exported_by", "workflow", "revision"})
"""Tags of a version that say which run made it: that stays true."""


class World:
    """The servers as a step's environment names them, seen with the cache's own, reading rights."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is the step's ConfigMap and the cache's own Secret; nothing is asked yet."""
        self._environment = environment

    def content(self, kind: str, text: str) -> str:
        """What the name stands for, in a line. Raises GoneError, or NotCachedError if nobody can say."""
        return str(self._asked(lambda: _CONTENT[kind](self, text), kind, text))

    def proof(self, kind: str, text: str) -> Any:
        """What to keep of a name among the outputs. Raises as `content`."""
        return self._asked(lambda: _PROOF.get(kind, _CONTENT[kind])(self, text), kind, text)

    def complaint(self, kind: str, text: str, proof: Any) -> str:
        """What is no longer as it was when the proof was made; empty if all of it is."""
        try:
            found = self.proof(kind, text)
        except GoneError as gone:
            return str(gone)
        if isinstance(proof, dict) and isinstance(found, dict) and kind in _GROWING:
            return datasets.lost(text, proof, found)
        return "" if found == proof else f"{text} is {_say(found)}, was {_say(proof)}"

    def _asked(self, question: Callable[[], Any], kind: str, text: str) -> Any:
        if kind not in _CONTENT:
            message = f"nothing is known of references of kind {kind!r}: this tiphys is older than the manifest"
            raise NotCachedError(message)
        if not text:
            return ""
        try:
            return question()
        except DataError as gone:
            raise GoneError(str(gone)) from None
        except TiphysError as problem:
            message = f"{kind} {text!r} can't be looked at: {problem}"
            raise NotCachedError(message) from None

    # The doors to the servers

    @cached_property
    def store(self) -> S3:
        """The bytes."""
        from tiphys.lake.s3 import S3  # noqa: PLC0415 - whoever asks nothing of S3 does not pay for it
        from tiphys.settings import S3Settings, load  # noqa: PLC0415

        return S3(load(S3Settings, self._environment), PATIENCE)

    @cached_property
    def tracking(self) -> Tracking:
        """MLflow."""
        from tiphys.settings import TrackingSettings, load  # noqa: PLC0415
        from tiphys.tracking import Tracking  # noqa: PLC0415

        return Tracking(load(TrackingSettings, self._environment), PATIENCE)

    @cached_property
    def ledger(self) -> LedgerClient:
        """The release ledger."""
        from tiphys.release.client import LedgerClient  # noqa: PLC0415
        from tiphys.settings import LedgerSettings, load  # noqa: PLC0415

        return LedgerClient(load(LedgerSettings, self._environment), timeout=PATIENCE)

    def objects(self, prefix: str) -> dict[str, str]:
        """Every object below a prefix, by its address: size and tag."""
        found = self.store.list(prefix)
        if len(found) > MOST_OBJECTS:
            message = f"{prefix} holds {len(found):,} objects: more than {MOST_OBJECTS:,} are not compared"
            raise NotCachedError(message)
        return {each.uri: f"{each.size} {each.etag}" for each in found}

    def table(self, namespace: str, table: str) -> Json:
        """The newest metadata of an Iceberg table, as its specification has them. Raises GoneError."""
        import psycopg  # noqa: PLC0415

        from tiphys.errors import RetryableError  # noqa: PLC0415
        from tiphys.settings import CatalogSettings, load  # noqa: PLC0415

        catalog = load(CatalogSettings, self._environment)
        try:
            with psycopg.connect(
                catalog.url, user=catalog.user, password=catalog.password, connect_timeout=int(PATIENCE)
            ) as connection:
                row = connection.execute(_WHERE, (namespace, table)).fetchone()
        except psycopg.errors.UndefinedTable:
            row = None
        except psycopg.Error as error:
            message = f"the catalog {catalog.url} does not answer: {type(error).__name__}"
            raise RetryableError(message) from None
        if row is None:
            message = f"there is no table {namespace}.{table}"
            raise GoneError(message)
        found: Json = json.loads(self.store.get(str(row[0]).replace("s3a://", "s3://", 1)))
        return found


# What a name stands for


def _prefix(world: World, text: str) -> str:
    found = world.objects(text if text.endswith("/") else f"{text}/")
    if not found:
        message = f"{text} is empty"
        raise GoneError(message)
    return f"{len(found)} objects {digests.of_json(found)}"


def _object(world: World, text: str) -> str:
    found = world.store.stat(text.partition("#")[0])
    return f"{found.size} bytes {found.etag}"


def _manifest(world: World, text: str) -> str:
    """A JSON document and all that it has the addresses of."""
    document = world.store.get(text.partition("#")[0])
    listed = {uri: _object(world, uri) for uri in sorted(set(_addresses(json.loads(document))))}
    return f"{digests.of(document)}, {len(listed)} objects {digests.of_json(listed)}"


def _addresses(document: Any) -> list[str]:
    if isinstance(document, dict):
        own = [document["uri"]] if str(document.get("uri", "")).startswith("s3://") else []
        return own + [uri for each in document.values() for uri in _addresses(each)]
    return [uri for each in document for uri in _addresses(each)] if isinstance(document, list) else []


def _model(world: World, text: str) -> str:
    """The version, which run it came from, and its weights, which are read and compared with its digest."""
    from tiphys import model_files  # noqa: PLC0415

    version = world.tracking.version(_resolved(world, text))
    _mlflow_run(world, version.run)
    model_files.fetch_version(world.tracking, version)
    return f"{version.uri} sha256 {version.sha256[:12]} of run {version.run}"


def _resolved(world: World, text: str) -> str:
    """`models:/NAME@ALIAS` as `models:/NAME/N`. Raises DataError."""
    name, _, alias = text.removeprefix("models:/").partition("@")
    return world.tracking.aliased(name, alias).uri if alias else text


def _mlflow_run(world: World, text: str) -> str:
    if world.tracking.run(text) is None:
        message = f"MLflow has no run {text}"
        raise GoneError(message)
    return text


def _image(world: World, text: str) -> Any:
    """Everything that an image by digest consists of, where it lies."""
    from tiphys.oci import reference  # noqa: PLC0415
    from tiphys.oci.layout import Layout  # noqa: PLC0415

    named = reference.parse(text)
    if named.in_s3:
        document = Layout(named.where, world.store).manifest(named.digest)
        sizes = {
            digest: _object(world, f"{named.where}/blobs/{digest.replace(':', '/')}") for digest in _blobs(document)
        }
        return f"{named.digest} with {len(sizes)} blobs {digests.of_json(sizes)}"
    return _pushed(world, named.host, named.path, named.digest)


def _pushed(world: World, host: str, path: str, digest: str) -> str:
    from tiphys.oci.registry import Registry  # noqa: PLC0415
    from tiphys.settings import RegistrySettings, load  # noqa: PLC0415

    registry = Registry(host, load(RegistrySettings, world._environment), PATIENCE)  # noqa: SLF001
    blobs = _blobs(registry.manifest(path, digest))
    gone = [each for each in blobs if not registry.has_blob(path, each)]
    if gone:
        message = f"{host}/{path}@{digest} lacks its blob {gone[0]}"
        raise GoneError(message)
    return f"{digest} with {len(blobs)} blobs"


def _blobs(manifest: bytes) -> list[str]:
    found = json.loads(manifest)
    return [found["config"]["digest"], *(each["digest"] for each in found["layers"])]


_CONTENT: dict[str, Callable[[World, str], str]] = {
    "use-case": lambda _world, text: text,  # its files are part of the code
    "s3-prefix": _prefix,
    "s3-object": _object,
    "s3-manifest": _manifest,
    "dataset": datasets.content,
    "model": _model,
    "mlflow-run": _mlflow_run,
    "image": _image,
}
_PROOF: dict[str, Callable[[World, str], Any]] = {"dataset": datasets.files}
_GROWING = frozenset({"dataset"})


def version_tags(world: World, text: str) -> str:
    """The tags of a version, but for those of provenance; every file that a tag has the digest of is read and compared."""
    version = world.tracking.version(_resolved(world, text))
    for name in version.tags:
        if name.startswith("sha256."):
            world.tracking.attached(version, name.removeprefix("sha256."))
    kept = {name: value for name, value in version.tags.items() if name not in _PROVENANCE}
    return f"{len(kept)} tags {digests.of_json(kept)}"


def _say(found: Any) -> str:
    return str(found) if not isinstance(found, dict) else f"{len(found)} files"
