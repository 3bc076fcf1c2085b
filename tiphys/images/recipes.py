"""What can be built: the Dockerfiles of ``images/``, what each is made from, and in which order."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiphys.errors import PermanentError
from tiphys.settings import PROJECT

FOLDER = PROJECT / "images"
HEAVY = ("batch-score", "collect-outcomes", "etl", "evaluate", "export", "torch", "train", "triton")
"""Images of more than 300 MB or that need one; ``light`` is all the others."""

HIDDEN = ("debian", "builder", "base", "torch")
"""What images are made from or with; nothing runs in them."""


class RecipeError(PermanentError):
    """An image that is asked for has no Dockerfile."""


@dataclass(frozen=True)
class Recipe:
    """One image: its folder in ``images/``."""

    folder: Path

    @property
    def name(self) -> str:
        """The image's name outside of Python: kebab-case."""
        return self.folder.name.replace("_", "-")

    @property
    def dockerfile(self) -> Path:
        """How it is made."""
        return self.folder / "Dockerfile"

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the images that it starts from or copies from."""
        text = self.dockerfile.read_text(encoding="utf-8")
        return tuple(dict.fromkeys(re.findall(r"^FROM \$\{IMAGES\}/([a-z-]+):", text, re.MULTILINE)))

    @property
    def sources(self) -> tuple[str, ...]:
        """Paths below the project that it copies, and its own folder."""
        text = self.dockerfile.read_text(encoding="utf-8")
        copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--)(.+)$", text, re.MULTILINE)]
        return (str(self.folder.relative_to(self.folder.parents[1])), *(path for each in copied for path in each))


def recipes(folder: Path = FOLDER) -> dict[str, Recipe]:
    """Every image that there is, by name."""
    found = (Recipe(each.parent) for each in sorted(folder.glob("*/Dockerfile")))
    return {each.name: each for each in found}


def chosen(names: Sequence[str], there: dict[str, Recipe]) -> list[Recipe]:
    """The images of these names, and before each what it needs; all if no name is given, ``light`` for the light ones.

    Raises:
        RecipeError: a name is unknown.
    """
    wanted = list(_expanded(names or ["all"], there))
    unknown = [each for each in wanted if each not in there]
    if unknown:
        message = f"no image {', '.join(map(repr, unknown))}; there are: all, light, {', '.join(there)}"
        raise RecipeError(message)
    order: dict[str, Recipe] = {}
    for name in wanted:
        _add(name, there, order)
    return list(order.values())


def revision(recipe: Recipe, there: dict[str, Recipe], project: Path = PROJECT) -> str:
    """The last git revision that changed anything the image is made from, ``-dirty`` if the tree differs from it.

    So an image keeps its digest through commits that don't concern it. ``unknown`` outside of git.
    """
    paths = sorted({path for each in chosen([recipe.name], there) for path in each.sources})
    left_out = [f":(exclude,glob){each}" for each in _ignored(project)]
    try:
        last = _git(project, "log", "-1", "--format=%H", "--", *paths, *left_out)
        changed = _git(project, "status", "--porcelain", "--untracked-files=all", "--", *paths, *left_out)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return (last or "unknown") + ("-dirty" if changed else "")


def _expanded(names: Iterable[str], there: dict[str, Recipe]) -> Iterator[str]:
    for name in names:
        if name in {"all", "light"}:
            yield from (each for each in there if name == "all" or each not in HEAVY)
        else:
            yield name.replace("_", "-").removeprefix("tiphys/")


def _add(name: str, there: dict[str, Recipe], order: dict[str, Recipe]) -> None:
    for need in there[name].needs:
        if need not in order:
            _add(need, there, order)
    order[name] = there[name]


def _ignored(project: Path) -> Iterator[str]:
    """What ``.dockerignore`` takes out of the folders that are copied, as git's patterns."""
    for line in (project / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "!", "*", "tiphys/images")):
            yield line
            yield f"{line}/**"
    yield from ("tiphys/images/*.py", "tiphys/images/audit/**")  # all of it but what runs inside of a build


def _git(project: Path, *words: str) -> str:
    command = ["git", "-C", str(project), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()  # noqa: S603
