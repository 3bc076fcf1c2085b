"""Opens archives that others made: nothing lands outside the target, nothing special is made, no disk is filled.

Entry by entry, by our own rules rather than those of `tarfile`'s filters, which differ between Python's versions and
have been escaped from. A link is made only if it stays inside, by its text alone, and nothing is written through one.
"""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tiphys.engine.errors import TemplateError

Json = dict[str, Any]
_BLOCK = 1 << 20
_DEEPEST = 200  # folders in folders
_OWN_MODE = 0o700  # what the engine itself needs to fill and to remove a folder


@dataclass(frozen=True)
class Limits:
    """How much an input artifact may become when its archive is opened."""

    size: int = 64 << 30
    """Bytes of all files."""
    entries: int = 1_000_000
    """Files, folders and links."""


NORMAL = Limits()


class _Meter:
    """What has been unpacked so far."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._size = self._entries = 0

    def entry(self) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise _refused(f"more than {self._limits.entries:,} entries")

    def bytes(self, count: int) -> None:
        self._size += count
        if self._size > self._limits.size:
            raise _refused(f"more than {self._limits.size:,} bytes when opened")


def _refused(reason: str) -> TemplateError:
    return TemplateError(f"the archive holds {reason}: refused (the engine's `limits` set what is allowed)")


def plain_name(name: str) -> PurePosixPath:
    """The path of an entry, below its folder. Raises TemplateError if it leads out or can't be a path."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name or len(path.parts) > _DEEPEST:
        msg = f"entry {name[:120]!r} leaves its folder or is no plain path: refused"
        raise TemplateError(msg)
    return path


def unpack(stored: Path, artifact: Json, target: Path, limits: Limits = NORMAL) -> None:
    """Bring a stored artifact into the form that a step sees: archives opened, plain files as they are.

    Raises TemplateError with the reason if the archive is damaged or hostile; nothing of it is left then.
    """
    archive = artifact.get("archive") or {}
    if "none" in archive or stored.is_dir():
        _move(stored, target)
    elif "zip" in archive:
        with _opening(stored, artifact, target) as opened:
            _unzip(stored, opened, _Meter(limits))
    elif _is_tar(stored):
        with _opening(stored, artifact, target) as opened:
            _untar(stored, opened, _Meter(limits))
    elif "tar" in archive:
        msg = f"artifact {artifact.get('name')} is no tar archive, but says so: take `archive` away"
        raise TemplateError(msg)
    else:
        _move(stored, target)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


def _is_tar(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(262)
    try:
        return (head[:2] == b"\x1f\x8b" and tarfile.is_tarfile(path)) or head[257:262] == b"ustar"
    except (OSError, EOFError, zlib.error):
        return False  # something else that gzip has packed


@contextmanager
def _opening(stored: Path, artifact: Json, target: Path) -> Iterator[Path]:
    """A fresh folder to open `stored` in; what it holds goes to `target`. Both are gone if that fails."""
    opened = target.with_name(f"{target.name}.opened")
    opened.mkdir(parents=True)
    try:
        yield opened
        stored.unlink()
        _settle(opened, target)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        msg = f"artifact {artifact.get('name')}: its archive is damaged ({error}): store it again"
        raise TemplateError(msg) from None
    except TemplateError as problem:
        msg = f"artifact {artifact.get('name')}: {problem}"
        raise TemplateError(msg) from None
    except OSError as error:
        msg = f"artifact {artifact.get('name')} can't be opened: {error}"
        raise TemplateError(msg) from None
    finally:
        shutil.rmtree(opened, ignore_errors=True)


def _settle(opened: Path, target: Path) -> None:
    """What an archive held: its one entry, else all of them as a folder."""
    entries = list(opened.iterdir())
    if len(entries) == 1 and not entries[0].is_symlink():
        shutil.move(entries[0], target)
    else:
        shutil.move(opened, target)


# --- tar


def _untar(stored: Path, folder: Path, meter: _Meter) -> None:
    modes: list[tuple[Path, int]] = []
    with tarfile.open(stored) as archive:
        for member in archive:
            meter.entry()
            path = _place(folder, member.name)
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                modes.append((path, member.mode & 0o777))
            elif member.issym():
                _link(folder, path, member.linkname)
            elif member.islnk():
                _hard_link(folder, path, member.linkname, meter)
            elif member.isreg():
                source = archive.extractfile(member)
                if source is not None:
                    _write(source, path, meter)
                path.chmod(member.mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
            else:
                msg = f"entry {member.name[:120]!r} is a device, pipe or another special file: refused"
                raise TemplateError(msg)
    for path, mode in reversed(modes):
        path.chmod(mode | _OWN_MODE)


def _place(folder: Path, name: str) -> Path:
    """Where an entry goes; its folders are made, and none of them is a link."""
    path = folder
    parts = plain_name(name).parts
    for part in parts[:-1]:
        path /= part
        if path.is_symlink():
            msg = f"entry {name[:120]!r} would be written through the link {part!r}: refused"
            raise TemplateError(msg)
        path.mkdir(exist_ok=True)
    path = path.joinpath(*parts[-1:])
    if path.is_symlink() or path.is_file():
        path.unlink()  # a later entry of the same name replaces the earlier, and never writes through it
    return path


def _link(folder: Path, path: Path, text: str) -> None:
    """A symbolic link whose text alone keeps it inside `folder`."""
    depth = len(path.relative_to(folder).parts) - 1
    for part in PurePosixPath(text).parts:
        depth += -1 if part == ".." else part != "."
        if depth < 0:
            break
    if text.startswith("/") or "\0" in text or depth < 0 or _climbs_late(text):
        msg = f"link {str(path.relative_to(folder))[:120]!r} leads out of the artifact, to {text[:120]!r}: refused"
        raise TemplateError(msg)
    path.symlink_to(text)


def _climbs_late(text: str) -> bool:
    """Whether `..` follows a name, which could be another link."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    names = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    return ".." in parts[names:]


def _hard_link(folder: Path, path: Path, name: str, meter: _Meter) -> None:
    """A copy of an earlier file; links between files of one archive mean the same content."""
    source = folder.joinpath(*plain_name(name).parts)
    real = source.resolve()
    if source.is_symlink() or not source.is_file() or not real.is_relative_to(folder.resolve()):
        msg = f"hard link {str(path.relative_to(folder))[:120]!r} leads to {name[:120]!r}, no earlier file: refused"
        raise TemplateError(msg)
    with real.open("rb") as file:
        _write(file, path, meter)
    path.chmod(real.stat().st_mode & 0o777)


def _write(source: IO[bytes], path: Path, meter: _Meter) -> None:
    """Copy a file; the meter stops it where an archive has more than it should, holes included."""
    with path.open("xb") as file:
        while block := source.read(_BLOCK):
            meter.bytes(len(block))
            file.write(block)


# --- zip


def _unzip(stored: Path, folder: Path, meter: _Meter) -> None:
    with zipfile.ZipFile(stored) as archive:
        for member in archive.infolist():
            meter.entry()
            path = _place(folder, member.filename)
            mode = member.external_attr >> 16
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                msg = f"entry {member.filename[:120]!r} is a link, device or another special file: refused"
                raise TemplateError(msg)
            else:
                with _entry(archive, member) as source:
                    _write(source, path, meter)
                path.chmod((mode & 0o777 or 0o644) | stat.S_IRUSR | stat.S_IWUSR)


def _entry(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(member)
    except RuntimeError as error:  # so zipfile says that it is encrypted
        msg = f"entry {member.filename[:120]!r} can't be read: {error}"
        raise TemplateError(msg) from None
