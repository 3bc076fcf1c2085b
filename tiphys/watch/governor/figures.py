"""The figures of drift that monitor sends, as Prometheus scrapes them: read line by line when they come, put together when asked for.

Prometheus' text format has each metric's head once, so those of several use cases are sorted by metric. Knows no HTTP and no SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tiphys.watch.governor.receive import RefusedError

CAP = 1 << 20
"""Most bytes of one look's figures."""
FORGOTTEN_S = 30 * 86_400
"""A use case whose figures are older is nobody's any more."""
_NAME = r"tiphys_drift_[a-z_]{1,60}"
_HEAD = re.compile(rf"# (?:HELP|TYPE) ({_NAME}) [^\x00-\x1f\x7f]{{1,300}}")
_LABEL = r'[a-z_]{1,40}="(?:[^"\\\x00-\x1f\x7f]|\\["\\n]){0,300}"'
_SAMPLE = re.compile(rf"({_NAME})\{{({_LABEL}(?:,{_LABEL}){{0,9}})\}} -?[0-9][0-9.e+-]{{0,40}}")
_OWN = re.compile(r'(?:^|,)use_case="([a-z][a-z0-9_.]{0,62})"')


def use_case_of(body: bytes) -> str:
    """Whose figures these are.

    Raises:
        RefusedError: a line is none of Prometheus' text format, of another metric than drift's, or of several use cases.
    """
    found: set[str] = set()
    for number, line in enumerate(_text(body).splitlines(), 1):
        sample = _SAMPLE.fullmatch(line)
        own = _OWN.search(sample[2]) if sample else None
        if own is None and not _HEAD.fullmatch(line):
            raise RefusedError("malformed", f"line {number} is no sample of a metric tiphys_drift_* with its use_case")
        if own is not None:
            found.add(own[1])
    if len(found) != 1:
        raise RefusedError("malformed", f"the figures are of one use case: these are of {len(found)}")
    return found.pop()


def together(texts: Iterable[str]) -> str:
    """All figures as one page: each metric's head once, its samples below it."""
    heads: dict[str, dict[str, None]] = {}
    samples: dict[str, list[str]] = {}
    for line in (line for text in texts for line in text.splitlines()):
        if head := _HEAD.fullmatch(line):
            heads.setdefault(head[1], {}).setdefault(line)
        elif sample := _SAMPLE.fullmatch(line):
            samples.setdefault(sample[1], []).append(line)
    return "".join(f"{line}\n" for name in sorted(samples) for line in (*_first(heads.get(name, {})), *samples[name]))


def _first(heads: Iterable[str]) -> list[str]:
    """One line of help and one of type, whatever two versions of monitor say."""
    by_kind = {each.split(" ", 2)[1]: each for each in heads}
    return [by_kind[kind] for kind in ("HELP", "TYPE") if kind in by_kind]


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("malformed", "the body is not UTF-8") from None
