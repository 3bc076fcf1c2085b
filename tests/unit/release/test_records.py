"""What a release may look like."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tiphys.release.records import Release

pytestmark = pytest.mark.unit

GOOD = {
    "use_case": "tests.usecases.tiny",
    "model_version": "models:/tiny/7",
    "repository": "s3://models/tiny/7/",
    "manifest_sha256": "a" * 64,
    "image": "registry.example.org/models/tiny@sha256:" + "a" * 64,
}


def test_a_release_names_its_model_and_its_number() -> None:
    """Both follow from the names of use case and version."""
    release = Release(**GOOD)
    assert (release.model, release.number) == ("tiny", "7")


@pytest.mark.parametrize(
    "wrong",
    [
        {"use_case": "../etc"},
        {"use_case": "os; import"},
        {"use_case": ""},
        {"repository": "http://models/tiny/7/"},
        {"repository": "s3://models/tiny/7"},
        {"repository": "s3:///tiny/7/"},
        {"manifest_sha256": "A" * 64},
        {"image": "registry.example.org/models/eta:latest"},
        {"image": "registry.example.org/models/eta@sha256:" + "a" * 63},
        {"image": "http://registry.example.org/models/eta@sha256:" + "a" * 64},
        {"manifest_sha256": "a" * 63},
        {"reason": "x" * 1001},
        {"somebody": "else"},
    ],
)
def test_a_release_of_another_form_is_refused(wrong: dict[str, Any]) -> None:
    """The ledger holds nothing that an agent or a gateway would stumble over."""
    with pytest.raises(ValidationError):
        Release(**{**GOOD, **wrong})
