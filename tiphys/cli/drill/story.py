"""The timeline of a rehearsal: chapters, links that hold or break, and what each took; knows nothing of what they do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from tiphys.errors import PermanentError

_MINUTE = 60


class LinkError(PermanentError):
    """A link of the chain does not hold; the message says what was wanted and what was found."""


@dataclass
class Link:
    """One thing that had to happen, and whether it did."""

    name: str
    began: float
    """Seconds since the rehearsal began."""
    seconds: float = 0.0
    held: bool = False
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Add a line for who reads along."""
        self.said.append(text)


class Story:
    """Prints links as they come, and keeps them."""

    def __init__(self, *, colour: bool, live: bool) -> None:
        """Begin now; ``live`` shows a link before it has ended, on a terminal."""
        self.links: list[Link] = []
        self._began = time.monotonic()
        self._colour = colour
        self._live = live

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        print(f"\n{self._styled(title, '1')}", flush=True)

    @contextmanager
    def link(self, name: str) -> Iterator[Link]:
        """Run one link; what it says is printed once it has held.

        Raises:
            LinkError: it does not hold. Other errors of the body pass through, and the link counts as broken as well.
        """
        link = Link(name, self.elapsed)
        self.links.append(link)
        if self._live:
            print(f"{_clock(link.began)} ● {name} ...", end="\r", flush=True)
        try:
            yield link
        except BaseException as error:
            link.seconds = self.elapsed - link.began
            self._print(link, "✖", "31")
            if isinstance(error, LinkError):
                print(f"{'':>8}{error}", flush=True)
            raise
        link.held, link.seconds = True, self.elapsed - link.began
        self._print(link, "✔", "32")

    def record(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "seconds": round(self.elapsed, 1),
            "held": all(each.held for each in self.links),
            "links": [
                asdict(each) | {"began": round(each.began, 1), "seconds": round(each.seconds, 1)} for each in self.links
            ],
        }

    def _print(self, link: Link, mark: str, colour: str) -> None:
        erase = "\x1b[2K\r" if self._live else ""
        took = self._styled(f"{link.seconds:.0f} s", "2")
        print(f"{erase}{_clock(link.began)} {self._styled(mark, colour)} {link.name}  {took}", flush=True)
        for line in link.said:
            print(f"{'':>8}{line}", flush=True)

    def _styled(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def require(held: bool, wanted: str) -> None:  # noqa: FBT001 - reads as assert does
    """Break the link unless ``held``.

    Raises:
        LinkError: with what was ``wanted``, and what was found instead.
    """
    if not held:
        raise LinkError(wanted)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // _MINUTE:>3}:{int(seconds) % _MINUTE:02d}"
