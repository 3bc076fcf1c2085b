"""How an image may be named."""

from __future__ import annotations

import pytest

from tiphys.errors import DataError
from tiphys.oci import reference

pytestmark = pytest.mark.unit

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("where", "host", "path"),
    [
        ("registry.example.org/team/models/taxi_eta", "registry.example.org", "team/models/taxi_eta"),
        ("127.0.0.1:5000/eta", "127.0.0.1:5000", "eta"),
        ("[::1]:5000/eta", "[::1]:5000", "eta"),
    ],
)
def test_a_reference_says_where_and_what(where: str, host: str, path: str) -> None:
    """Host, repository and digest, and back to the same text."""
    found = reference.parse(f"{where}@{DIGEST}")
    assert (found.host, found.path, found.digest, found.in_s3) == (host, path, DIGEST, False)
    assert str(found) == f"{where}@{DIGEST}"


def test_an_image_may_lie_in_s3() -> None:
    """A layout's folder is named as a bucket and a prefix."""
    assert reference.parse(f"s3://models/images/taxi_eta/7-0123456789ab@{DIGEST}").in_s3


@pytest.mark.parametrize(
    "wrong",
    [
        "registry.example.org/eta",
        "registry.example.org/eta:latest",
        f"registry.example.org/eta:7@{DIGEST}",
        f"eta@{DIGEST}",
        f"registry.example.org/../eta@{DIGEST}",
        f"registry.example.org/Eta@{DIGEST}",
        f"user:password@registry.example.org/eta@{DIGEST}",
        f"http://registry.example.org/eta@{DIGEST}",
        f"s3://models/../secrets@{DIGEST}",
        f"s3://models@{DIGEST}",
        f"registry.example.org/eta@{DIGEST}\n",
        f"registry.example.org/eta@{DIGEST.upper()}",
        "registry.example.org/eta@sha256:abc",
        "",
    ],
)
def test_what_is_not_pinned_is_no_reference(wrong: str) -> None:
    """No tag, no credentials, no path upwards, nothing without a digest."""
    with pytest.raises(DataError, match="names no image by digest"):
        reference.parse(wrong)
