"""How a run uses the cache, as flags, settings and annotations say it."""

from __future__ import annotations

import argparse

import pytest

from tiphys.cache.mode import ANNOTATION, Mode, asked_for, mode_of
from tiphys.errors import SettingsError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "mode"), [("on", Mode()), ("off", Mode(on=False)), ("audit=0.5", Mode(audit=0.5)), ("audit=0", Mode())]
)
def test_an_annotation_says_the_mode(text: str, mode: Mode) -> None:
    """One of three forms."""
    assert mode_of({ANNOTATION: text}) == mode


@pytest.mark.parametrize("text", ["yes", "audit", "audit=", "audit=2", "audit=-1", "audit=nan", "off=1"])
def test_anything_else_is_refused(text: str) -> None:
    """With what would be right."""
    with pytest.raises(SettingsError, match="on, off or audit=SHARE"):
        mode_of({ANNOTATION: text})


def test_flags_win_over_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run carries what they say; nothing where the cache is simply used."""

    def asked(*, off: bool = False, share: float | None = None) -> str:
        return asked_for(argparse.Namespace(no_cache=off, audit_cache=share))

    assert (asked(), asked(off=True), asked(share=0.1)) == ("", "off", "audit=0.1")
    monkeypatch.setenv("TIPHYS_CACHE", "off")
    assert (asked(), asked(share=0.1)) == ("off", "audit=0.1")
    monkeypatch.setenv("TIPHYS_CACHE", "never")
    with pytest.raises(SettingsError):
        asked()
