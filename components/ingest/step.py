"""The work of ``ingest``: look through every uploaded file once, copy it inside the server, write the manifest."""

from __future__ import annotations

import logging

from components.ingest.contract import Inputs, Outputs
from components.ingest.scan import format_of, scan
from tiphys.errors import DataError
from tiphys.lake.raw import BUCKET, Manifest, RawFile
from tiphys.lake.s3 import S3, Stored
from tiphys.lake.upload import SUFFIXES, usable
from tiphys.step import Context
from tiphys.usecase import DataContract, UseCase

log = logging.getLogger(__name__)


def run(inputs: Inputs, _context: Context) -> Outputs:
    """Land the files; files that were landed before, under whatever name, are not copied again."""
    use_case = UseCase(inputs.use_case)
    store = S3()
    files: dict[str, RawFile] = {}
    sources = [each for each in (inputs.source, inputs.live) if each]
    for each in [stored for source in sources for stored in _uploaded(source, store)]:
        found = _look(each, store, use_case.name, use_case.data)
        if found.sha256 in files:
            log.info("%s has the same content as %s: taken once", found.name, files[found.sha256].name)
        else:
            files[found.sha256] = found
            _land(each, found, store)
    manifest = Manifest(use_case=use_case.name, files=tuple(files.values()))
    size = sum(each.bytes for each in manifest.files)
    log.info("%d files, %d bytes, %d rows", len(files), size, sum(each.rows for each in manifest.files))
    return Outputs(manifest=manifest.write(store), files=len(files), bytes=size)


def _uploaded(source: str, store: S3) -> list[Stored]:
    found = store.list(source if source.endswith("/") else source + "/")
    chosen = [each for each in found if usable(each.name)]
    if not chosen:
        held = ", ".join(each.name for each in found[:5]) or "nothing"
        message = f"{source} has no usable file (*{', *'.join(SUFFIXES)}); it holds {held}: upload raw files first"
        raise DataError(message)
    for each in sorted(set(found) - set(chosen), key=lambda each: each.name):
        log.info("%s is left out: its name does not end in %s", each.name, ", ".join(SUFFIXES))
    return chosen


def _look(stored: Stored, store: S3, use_case: str, contract: DataContract) -> RawFile:
    with store.open(stored.uri) as file:
        found = scan(stored.name, file, contract)
    kind = format_of(stored.name)
    return RawFile(
        name=stored.name,
        uri=f"s3://{BUCKET}/{use_case}/files/{found.sha256}.{kind}",
        sha256=found.sha256,
        bytes=stored.size,
        format=kind,
        header=found.header,
        fields=found.fields,
        rows=found.rows,
        months=found.months,
    )


def _land(stored: Stored, found: RawFile, store: S3) -> None:
    there = store.find(found.uri)
    if there is None or there.size != found.bytes:
        store.copy(stored, found.uri)
        log.info("%s: %d rows of %s", found.name, found.rows, ", ".join(sorted(found.months)))
