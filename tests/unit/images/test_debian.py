"""The Debian that is made here, without making it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tiphys.images import debian
from tiphys.images.builders import Builder

pytestmark = pytest.mark.unit


def test_the_first_build_of_a_clone_makes_the_folder_of_its_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was built there before, so there is no folder yet; the root file system lies beside the log while it is made."""
    made: list[Path] = []
    monkeypatch.setattr(Builder, "image_id", lambda *_: "")
    monkeypatch.setattr(debian, "need", lambda *_: None)
    monkeypatch.setattr(debian, "_make", lambda folder, _log: made.append(folder))
    monkeypatch.setattr(debian, "run", lambda *_: None)
    log = tmp_path / "state" / "logs" / "images" / "debian.log"
    said: list[Any] = []
    tag = debian.debian(Builder("buildah"), log, said.append)
    assert made[0].parent == log.parent
    assert "tiphys/bootstrap:" in tag
