"""Makes the engine from the settings: state folder, this project's images, what steps must see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiphys.engine import Engine

IMAGES_FILE = "images.toml"


def project() -> Path:
    """The project's root."""
    from tiphys.settings import stack_settings

    return stack_settings().project


def open_engine(state: Path | None = None, *, namespace: str = "default", private: bool | None = None) -> Engine:
    """The engine on this project's state folder, or on another; see Engine for the rest."""
    from tiphys.engine import Engine, Image, load_images
    from tiphys.settings import stack_settings

    settings = stack_settings()
    own = [
        Image(
            pattern,
            (str(settings.project / ".venv" / "bin"),),
            str(settings.project),
            {"PYTHONPATH": str(settings.project)},
        )
        for pattern in ("*/tiphys/*", "tiphys/*")
    ]
    table = settings.project / IMAGES_FILE
    extra = load_images(table) if table.exists() else []
    keep = [settings.project, settings.home]
    where = state or settings.home / "engine"
    return Engine(where, images=[*extra, *own], keep=keep, namespace=namespace, private=private)
