"""What manifests and parameter files say becomes the text that Argo keeps, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiphys.engine import ManifestError, load_text
from tiphys.engine.load import load_parameters, value_text
from tiphys.engine.merge import effective_spec

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1.5", "1.5"),
        ("1.50", "1.5"),
        ("-0.0000001", "-0.0000001"),
        ("1e21", "1000000000000000000000"),
        ("2.5e-7", "0.00000025"),
        ("9007199254740993", "9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
        ("true", "true"),
    ],
)
def test_a_number_for_a_value_becomes_all_its_digits(written: str, kept: str) -> None:
    """Argo reads a float64 and writes it without exponent (AnyString)."""
    text = f"kind: Workflow\nspec: {{arguments: {{parameters: [{{name: p, value: {written}}}]}}}}"
    spec = effective_spec(load_text(text)[0], lambda _kind, _name: None)
    assert spec["arguments"]["parameters"][0]["value"] == kept


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_loses_anything(number: float) -> None:
    """Read back it is the same, and it has no exponent."""
    text = value_text(number)
    assert float(text) == number
    assert "e" not in text


def test_a_parameter_file_may_hold_numbers(tmp_path: Path) -> None:
    """Also those that are not whole."""
    file = tmp_path / "p.yaml"
    file.write_text("rate: 0.5\nmany: 3\non_: true\n")
    assert load_parameters(file) == {"rate": "0.5", "many": "3", "on_": "true"}


def test_a_number_beyond_a_float_is_refused() -> None:
    """Nothing could tell its value."""
    with pytest.raises(ManifestError, match="308 digits"):
        value_text(10**400)
