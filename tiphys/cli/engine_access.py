"""Makes the engine from the settings: state folder, this project's images, what steps must see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tiphys.engine import Engine
    from tiphys.engine.artifacts import ArtifactStore
    from tiphys.engine.cache import StepCache
    from tiphys.engine.run_state import RunState
    from tiphys.settings import StackSettings

IMAGES_FILE = "images.toml"


def project() -> Path:
    """The project's root."""
    from tiphys.settings import stack_settings

    return stack_settings().project


def open_engine(
    state: Path | None = None,
    *,
    namespace: str = "default",
    private: bool | None = None,
    containers: list[str] | None = None,
) -> Engine:
    """The engine on this project's state folder, or on another; see Engine for the rest.

    `containers` are the patterns of --containers for new runs, TIPHYS_CONTAINERS where None is given.
    """
    from tiphys.cli.runs import patterns
    from tiphys.engine import Engine, Image
    from tiphys.settings import EngineSettings, load, stack_settings

    wanted = patterns(load(EngineSettings).containers) if containers is None else containers
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
    keep = [settings.project, settings.home]
    where = state or settings.home / "engine"
    return Engine(
        where,
        images=own,
        image_file=settings.project / IMAGES_FILE,
        containers=wanted or (),
        store=_store(settings),
        keep=keep,
        namespace=namespace,
        private=private,
        cache=_cache(where, settings),
    )


def _cache(state: Path, settings: StackSettings) -> Callable[[RunState], StepCache | None]:
    """What gives each run its cache: as its annotations say, else as the settings do."""
    from tiphys.cache.door import Door

    return lambda run: Door(state, settings.project, settings.home, run.annotations)


def _store(settings: StackSettings) -> ArtifactStore | None:
    """The stack's bucket if the settings ask for it; None leaves the engine its own folder."""
    from tiphys.errors import SettingsError
    from tiphys.settings import EngineSettings, S3Settings, load

    wanted = load(EngineSettings).artifacts
    if wanted == "folder":
        return None
    if wanted != "s3":
        message = f"TIPHYS_ARTIFACTS must be folder or s3, not {wanted!r}"
        raise SettingsError(message)
    from tiphys.engine import BucketStore
    from tiphys.stack import environment
    from tiphys.step import contracts

    s3 = load(S3Settings, environment(settings, contracts(), "engine"))
    return BucketStore(s3.endpoint, "artifacts", s3.access_key, s3.secret_key, s3.region)
