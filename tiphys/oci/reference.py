"""How an image is named: where it lies, and the digest of its manifest. There are no tags in a release.

::

    HOST[:PORT]/PATH@sha256:HEX         in a registry, as every container runtime writes it
    s3://BUCKET/PREFIX@sha256:HEX       an OCI image layout in S3, where there is no registry
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tiphys.errors import DataError

DIGEST = r"sha256:[0-9a-f]{64}"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REPOSITORY = rf"{_HOST}(?:/{_PART})+"
"""A repository of a registry: the grammar of the distribution specification, with its host."""
LAYOUT = r"s3://[a-z0-9][a-z0-9.-]{1,62}(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+"
"""An image layout in S3."""
IMAGE = rf"(?:{LAYOUT}|{REPOSITORY})@{DIGEST}"


@dataclass(frozen=True)
class Reference:
    """One image, pinned by digest."""

    where: str
    """``HOST/PATH`` or ``s3://BUCKET/PREFIX``."""
    digest: str

    def __str__(self) -> str:
        """As it stands in a release."""
        return f"{self.where}@{self.digest}"

    @property
    def in_s3(self) -> bool:
        """Whether it is a layout in S3."""
        return self.where.startswith("s3://")

    @property
    def host(self) -> str:
        """The registry, with its port."""
        return self.where.partition("/")[0]

    @property
    def path(self) -> str:
        """The repository within the registry."""
        return self.where.partition("/")[2]


def parse(text: str) -> Reference:
    """Read a reference.

    Raises:
        DataError: it is none, or has no digest.
    """
    if not re.fullmatch(IMAGE, text):
        message = f"{text!r} names no image by digest: it must look like HOST/PATH@sha256:64 HEX DIGITS"
        raise DataError(message)
    where, _, digest = text.partition("@")
    return Reference(where, digest)
