"""A release in words, from records of the ledger alone: evidence, metrics against the baselines, signature. It asks nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tiphys.release.records import EvidenceRecorded, Passport, Release

_BASELINES = ("status_quo", "lightgbm")
_OTHER_ROWS = {"newest": "newest rows", "holdout": "rows of the trusted holdout"}
"""Figures of the model itself on other rows -> which they are; their names look like a baseline's."""
_WIDE = 100
_SKIPPED = frozenset({"metrics", "gates", "dataset", "revision", "reasons", "missed", "verdict"})


def reasons(evidence: EvidenceRecorded) -> str:
    """What a piece of evidence says of why it held or did not, in one line."""
    content = evidence.content
    listed = content.get("reasons") or content.get("missed") or content.get("reason") or content.get("verdict") or ""
    text = "; ".join(map(str, listed)) if isinstance(listed, list) else str(listed)
    return text or ("held" if evidence.held else f"did not hold; evidence {evidence.number} has the figures")


def folded(text: str, hang: str = "") -> list[str]:
    """A text of many reasons in lines, one a reason; those after the first hang. A text that is short stays one line."""
    first, *others = text.split("; ") if len(text) > _WIDE else [text]
    return [first, *(hang + each for each in others)]


def show(rows: Mapping[str, str]) -> None:
    """Print what is known of a release: a name and its value a line; a name without a value is left out."""
    for name, value in rows.items():
        for number, line in enumerate(folded(value) if value else ()):
            print(f"  {'' if number else name:<16} {line}")


def head(evidence: EvidenceRecorded) -> str:
    """The first line of a piece of evidence: whether it held, its number, when, and by which run."""
    word = "held" if evidence.held else "DID NOT HOLD"
    made = f"{evidence.made_at:%Y-%m-%d %H:%M:%S}"
    return f"{evidence.kind:<17} {word:<13} evidence {evidence.number}, {made} UTC, run {evidence.run or 'unknown'}"


def details(evidence: EvidenceRecorded) -> Iterator[str]:
    """What was found, in lines."""
    content = evidence.content
    metrics = content.get("metrics")
    if isinstance(metrics, dict):
        yield from compared(metrics)
    gates = content.get("gates")
    if isinstance(gates, list):
        yield from (f"gate {_gate(each)}" for each in gates)
    if content.get("verdict") or content.get("reasons") or content.get("missed"):
        verdict, why = str(content.get("verdict", "")), reasons(evidence)
        yield from folded(f"verdict: {verdict}: {why}" if verdict not in {"", why} else f"verdict: {why}", hang="  ")
    plain = [f"{name} {_short(value)}" for name, value in content.items() if name not in _SKIPPED and _is_plain(value)]
    for line in _wrapped(plain):
        yield from folded(line, hang="  ")
    for name, value in content.items():
        if name not in _SKIPPED and not _is_plain(value):
            yield from _nested(name, value)


def compared(metrics: Mapping[str, Any]) -> Iterator[str]:
    """The model's error against every baseline's on the same rows."""
    ours = metrics.get("mae")
    if not isinstance(ours, int | float):
        return
    yield f"mean absolute error {ours:,.4g}"
    named = [name.rpartition(".")[0] for name in metrics if name.endswith(".mae") and not name.startswith("slice.")]
    first = [each for each in _BASELINES if each in named]
    for name in [*first, *sorted(set(named) - {*first, *_OTHER_ROWS})]:
        theirs = metrics[f"{name}.mae"]
        gain = f" ({100 * (ours / theirs - 1):+.1f} %)" if theirs else ""
        yield f"against {name.replace('_', ' ')} {theirs:,.4g}{gain}"
    yield from _elsewhere(metrics)


def _elsewhere(metrics: Mapping[str, Any]) -> Iterator[str]:
    """The model's error on the newest rows and on the trusted ones, beside the champion's."""
    for name, rows in _OTHER_ROWS.items():
        ours, theirs = metrics.get(f"{name}.mae"), metrics.get(f"{name}.champion_mae")
        if isinstance(ours, int | float):
            champion = f", the champion's {theirs:,.4g} ({100 * (ours / theirs - 1):+.1f} %)" if theirs else ""
            yield f"on {metrics.get(f'{name}.rows', 0):,.0f} {rows} {ours:,.4g}{champion}"


def signature(passport: Passport, release: Release, keys: Sequence[str]) -> tuple[bool, str]:
    """Whether a passport is sound and fits its release, and what to say of it."""
    from tiphys.errors import DataError
    from tiphys.release.passport import differences, read

    if not keys:
        return (
            False,
            f"signed by {passport.public_key[:16]}; no key is known here to check it with: TIPHYS_PASSPORT_PUBLIC_KEYS",
        )
    try:
        faults = differences(read(passport, keys), release)
    except DataError as error:
        return False, f"NOT SOUND: {error}"
    if faults:
        return False, f"DOES NOT FIT its release: {'; '.join(faults)}"
    return True, f"signed by {passport.public_key[:16]}, which is trusted; signature and release fit"


def _gate(gate: Any) -> str:
    if not isinstance(gate, dict):
        return str(gate)
    outcome = gate.get("outcome", "")
    asked = gate.get("asked") or f"{gate.get('compare', '')} {_short(gate.get('limit', ''))}"
    reason = f": {gate['reason']}" if gate.get("reason") else ""
    return f"{outcome:<10} {gate.get('metric', '')} = {_short(gate.get('value', ''))}, asked {asked}{reason}"


def _nested(name: str, value: Any) -> Iterator[str]:
    yield f"{name}:"
    named = isinstance(value, dict)
    for key, each in value.items() if named else enumerate(value):
        if named:
            yield f"  {key} {_line(each)}"
        elif isinstance(each, dict) and "says" in each:
            yield f"  {each.get('state', ''):<7} {each.get('measure', '')}: {each['says']}"
        elif isinstance(each, dict) and "name" in each:
            yield f"  {each['name']}: {_line({key: part for key, part in each.items() if key != 'name'})}"
        else:
            yield f"  {_line(each)}"


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_line(each)}" for name, each in value.items() if each not in (None, ""))
    if isinstance(value, list):
        return ", ".join(map(_line, value))
    return _short(value)


def _is_plain(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _short(value: Any) -> str:
    return f"{value:,.5g}" if isinstance(value, float) else str(value)


def _wrapped(parts: Sequence[str]) -> Iterator[str]:
    line = ""
    for each in parts:
        if line and len(line) + len(each) > _WIDE:
            yield line
            line = ""
        line = f"{line}, {each}" if line else each
    if line:
        yield line
