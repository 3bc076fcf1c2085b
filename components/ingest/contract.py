"""Contract of ``ingest``: what it takes, what it tells. Light to import."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tiphys.step import Access, Contract, Refers, Resources, StepInputs, StepOutputs


class Inputs(StepInputs):
    """Which uploaded files to take in."""

    use_case: Annotated[str, Refers("use-case")] = Field(
        description="use case: a folder of usecases/, or a dotted package"
    )
    source: Annotated[str, Refers("s3-prefix")] = Field(
        description="prefix of the uploaded files: s3://landing/DIGEST/"
    )
    live: Annotated[str, Refers("s3-prefix")] = Field(
        "", description="prefix of files of live data beside them: s3://raw/USE_CASE/live/DIGEST/; empty: none"
    )


class Outputs(StepOutputs):
    """Where the raw files' manifest is."""

    manifest: Annotated[str, Refers("s3-manifest")] = Field(
        description="list of the raw files with digests: s3://raw/USE_CASE/DIGEST/manifest.json"
    )
    files: int = Field(description="raw files; count")
    bytes: int = Field(description="size of all raw files; bytes")


CONTRACT = Contract(
    name="ingest",
    summary="Take uploaded files into the raw zone, checked and counted, under their content's digest.",
    inputs=Inputs,
    outputs=Outputs,
    effects="pure",
    access=Access(read=("landing",), write=("raw",)),
    resources=Resources(cpu="500m", memory="128Mi", cpu_limit="1", memory_limit="512Mi"),
    timeout="1h",
)
