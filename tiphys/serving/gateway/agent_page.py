"""An agent's page, as the gateway reads it and keeps the last one on disk: what its Triton serves."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from tiphys.serving.gateway.upstream import Answer

_OK = 200

log = logging.getLogger(__name__)


class Served(BaseModel):
    """One model of one environment, as its agent's page has it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    use_case: str
    version: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]
    """What should answer now, and is ready."""
    generation: int = 0
    manifest_sha256: str = ""
    """The repository that it was loaded from: what makes a version the same one as before."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    shadow: Annotated[float, Field(ge=0, le=1)] = 0.0
    until: AwareDatetime | None = None
    inputs: dict[str, Literal["int64", "float32"]] = {}
    outputs: tuple[str, ...] = ()
    fallback_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""


class Page(BaseModel):
    """What an agent says that its Triton serves."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int = 0
    started: str = ""
    """Another text after each start of the agent: numbers begin anew."""
    models: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Served] = {}


def read(answer: Answer) -> Page:
    """Read what an agent answered. Raises ValueError for anything but a page."""
    if answer.status != _OK:
        message = f"it answers {answer.status}"
        raise ValueError(message)
    return Page.model_validate_json(answer.body)


def keep(path: Path, content: bytes) -> None:
    """Keep a page's text for the next start; a disk that does not take it costs no answer."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        log.warning("what %s serves cannot be kept for the next start: %s", path.stem, error)


def kept(path: Path) -> Page:
    """Return the page that was kept, an empty one if there is none."""
    try:
        return Page.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Page()
    except (OSError, ValidationError) as error:
        log.warning("what %s served last cannot be read: %s", path.stem, error)
        return Page()
