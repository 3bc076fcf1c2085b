"""Takes away compiled files that may be those of an older text: Python tells them apart by size and whole seconds only."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import cache_from_source
from pathlib import Path

from tiphys.cache.refusal import NotCachedError


def drop_doubtful(project: Path, files: Iterable[str]) -> None:
    """Remove what was compiled in the very second in which its source was written last.

    A file that is edited twice within a second and keeps its size is run as it was: a step would then leave an old result
    under the key of the new code. Raises NotCachedError where such a file can't be removed.
    """
    for name in files:
        source = project / name
        if source.suffix != ".py":
            continue
        compiled = Path(cache_from_source(str(source)))
        try:
            if int(compiled.stat().st_mtime) == int(source.stat().st_mtime):
                compiled.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            message = f"{compiled} may be of an older {name} and can't be removed: {error}"
            raise NotCachedError(message) from None
