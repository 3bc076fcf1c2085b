"""The file that serving reads a live feature from: values by step and group, as the lake's table has them. No NumPy.

``s3://features/USE_CASE/recent.json`` is two lines: the sha256 of the second, and JSON. It appears whole or not at all; one
that is not what its first line says is refused, and whoever reads goes on with what it has.
"""

from __future__ import annotations

import hashlib
import math
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from tiphys.errors import DataError

BUCKET = "features"
_DIGITS = 64
_MOST = 2**22
"""Most bytes of such a file that anybody reads."""


def _finite(value: float) -> float:
    if not math.isfinite(value):
        message = "is not finite"
        raise ValueError(message)
    return value


class Values(BaseModel):
    """What is known of a live feature at the last steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    feature: str
    definition: str
    """What the values mean, as ``LiveFeature.definition`` names it."""
    snapshot: int
    """State of the table that they are of."""
    made_at: datetime
    """When the newest were made, by the wall clock."""
    steps: dict[int, list[Annotated[float, AfterValidator(_finite)]]] = Field(min_length=1)
    """Step (a moment divided by ``step_s``) -> the value of each group, by its number."""


def where(use_case: str) -> str:
    """Address of a use case's file."""
    return f"s3://{BUCKET}/{use_case}/recent.json"


def dump(values: Values) -> bytes:
    """Write the file."""
    text = values.model_dump_json().encode()
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text + b"\n"


def parse(content: bytes) -> Values:
    """Read the file.

    Raises:
        DataError: it is damaged, or none.
    """
    if len(content) > _MOST:
        message = f"it has {len(content)} bytes: at most {_MOST} are read"
        raise DataError(message)
    digest, _, rest = content.partition(b"\n")
    text = rest.removesuffix(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != digest or rest != text + b"\n":
        message = f"its sha256 is not the {digest[:_DIGITS].decode('ascii', 'replace')} that its first line says"
        raise DataError(message)
    try:
        return Values.model_validate_json(text)
    except ValidationError as error:
        message = f"it is no file of values: {error.errors()[0]['msg']}"
        raise DataError(message) from None
