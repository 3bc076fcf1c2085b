"""The cache as the engine asks it: looks a step up, keeps what came out of one, and runs a sample of hits again."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tiphys.cache import digests, proofs
from tiphys.cache.compare import changed, nearest
from tiphys.cache.key import PER_RUN, Key, key_of
from tiphys.cache.refusal import NotCachedError
from tiphys.cache.store import Entry, LookUp, Store, detail
from tiphys.engine.cache import Answer

if TYPE_CHECKING:
    from tiphys.cache.mode import Mode
    from tiphys.cache.surroundings import Place
    from tiphys.engine.cache import Asked

Json = dict[str, Any]
SHOWN = 12
"""Digits of a key that a person is shown."""
_REVISION = "TIPHYS_REVISION"
PENDING = "..."


@dataclass(frozen=True)
class _Ticket:
    """What was found when a step was looked up, for when it has run."""

    number: int
    told: LookUp
    key: Key
    audited: Entry | None = None


class Steps:
    """The cache of one run's steps."""

    def __init__(self, store: Store, place: Place, mode: Mode, chance: Callable[[], float] = random.random) -> None:
        """`chance` gives a number from 0 to 1: a hit whose number is below the share is audited."""
        self._store = store
        self._place = place
        self._mode = mode
        self._chance = chance

    def look_up(self, asked: Asked) -> Answer:
        """An earlier result, proven to hold; else the step has to run."""
        template = asked.start.template
        told = LookUp(asked.run, step_of(asked), template.get("name") or "", time.time(), "not cached", "")
        try:
            key = key_of(asked, self._place)
        except NotCachedError as reason:
            self._store.note(replace(told, reason=str(reason)))
            return self._passed_over(str(reason)) or Answer()
        details = key.parts.details
        told = replace(
            told, key=key.text, parts=key.parts.values, kept=PENDING,
            details={name: digests.of(detail(each)) for name, each in details.items()},
        )  # fmt: skip
        entry, told = self._judge(told, key)
        outputs: Json | None = None
        if entry is not None:
            outputs, wrong = proofs.used_again(key, entry, asked)
            if wrong:
                entry, told = None, replace(told, verdict="miss", reason=wrong)
        if entry is None and (passed := self._passed_over(told.reason)):
            self._store.note(replace(told, kept=""), details)
            return passed
        if entry is None:
            return Answer(key=key.text, ticket=_Ticket(self._store.note(told, details), told, key))
        if self._chance() < self._mode.audit:
            told = replace(told, reason=f"a sample: run again to compare with {entry.run}")
            return Answer(
                key=key.text,
                environment=entry.environment,
                ticket=_Ticket(self._store.note(told, details), told, key, entry),
            )
        self._store.note(replace(told, kept=""), details)
        return Answer(outputs, f"cached: from {entry.run} ({key.text[:SHOWN]})", key.text)

    def _passed_over(self, reason: str) -> Answer | None:
        """In a run that only audits, a step whose result would not be used has nothing to do."""
        return Answer({}, f"not run again: {reason}") if self._mode.only else None

    def _judge(self, told: LookUp, key: Key) -> tuple[Entry | None, LookUp]:
        """The result that may be used, if any, and what to say."""
        if not self._mode.on:
            return None, replace(told, verdict="miss", reason="the run was told not to use the cache")
        if found := self._store.quarantined(told.template, key.code):
            return None, replace(told, verdict="miss", reason=f"in quarantine: {found[0].reason}")
        entry = self._store.entry(key.text)
        if entry is None:
            near = nearest(self._store, told.template, key.parts.values)
            if near is None:
                return None, replace(told, verdict="miss", reason="no step of this template has been kept yet")
            listed = changed(self._store, near, key.parts)
            reason = f"{', '.join(listed[:3])}{' ...' if len(listed) > 3 else ''}"  # noqa: PLR2004 - one line
            return None, replace(
                told, verdict="miss", reason=reason, source=near.run, against=near.key, differences=listed
            )
        told = replace(told, source=entry.run, against=entry.key)
        try:
            wrong = proofs.complaint(key, entry)
        except NotCachedError as reason:
            wrong = str(reason)
        return (None, replace(told, verdict="miss", reason=wrong)) if wrong else (entry, replace(told, verdict="hit"))

    def keep(self, asked: Asked, answer: Answer, outputs: Json) -> str:
        """Keep what came out, unless what decides it has changed while it ran; compare, if it was a sample."""
        ticket: _Ticket | None = answer.ticket
        if ticket is None:
            return ""
        said, told = self._kept(asked, ticket, outputs)
        self._store.amend(ticket.number, told)
        return said

    def _kept(self, asked: Asked, ticket: _Ticket, outputs: Json) -> tuple[str, LookUp]:
        try:
            again = key_of(asked, self._place)
            if again.text != ticket.key.text:
                moved = sorted(
                    name
                    for name in {*again.parts.values, *ticket.key.parts.values}
                    if again.parts.values.get(name) != ticket.key.parts.values.get(name)
                )
                reason = f"{', '.join(moved[:3])} changed while it ran"
                return "", replace(ticket.told, kept=reason)
            found = proofs.declared_only(asked.start.template, outputs)
            proven = proofs.prove(again, found, asked)
        except NotCachedError as reason:
            return "", replace(ticket.told, kept=str(reason))
        if ticket.audited is not None:
            return self._compared(ticket, found, proven)
        if self._store.quarantined(ticket.told.template, ticket.key.code):
            return "", replace(ticket.told, kept="it is in quarantine")
        told = ticket.told
        self._store.put(
            Entry(
                key=told.key, template=told.template, run=asked.run, node=told.node, made=time.time(), parts=told.parts,
                details=told.details, outputs=found, proofs=proven, environment=self._provenance(asked),
                rendered=asked.start.template,
            ),
            ticket.key.parts.details,
        )  # fmt: skip
        return "", replace(told, kept="")

    def _compared(self, ticket: _Ticket, outputs: Json, proven: Json) -> tuple[str, LookUp]:
        entry = ticket.audited
        assert entry is not None  # noqa: S101 - the caller has looked
        differs = proofs.differences(entry, outputs, proven["artifacts"], ticket.key)
        if not differs:
            said = f"audited: the same as in {entry.run}"
            return said, replace(ticket.told, verdict="audited", reason=said, kept="")
        reason = (
            f"ran twice with the same key and differed: {'; '.join(differs[:3])} (runs {entry.run}, {ticket.told.run})"
        )
        self._store.quarantine(entry.template, ticket.key.code, reason)
        for each in self._store.entries(entry.template):
            if (each.parts.get("code") or each.parts.get("image")) == ticket.key.code:
                self._store.forget(each.key)
        told = replace(ticket.told, verdict="differs", reason=reason, kept="it is in quarantine", differences=differs)
        return f"quarantined: differs from {entry.run}: {differs[0]}", told

    def _provenance(self, asked: Asked) -> dict[str, str]:
        """What a step may have written down of its run."""
        body = asked.start.template.get("container") or asked.start.template["script"]
        found = {each["name"]: each["value"] for each in body.get("env") or [] if each["name"] in PER_RUN}
        image = asked.images.find(body.get("image") or "")
        if image is not None and image.oci is None:
            found[_REVISION] = _revision(self._place)
        return found


def step_of(asked: Asked) -> str:
    """The step's name in its run: that of the node, without the number of its attempt."""
    name = asked.start.node_name.removeprefix(asked.run).lstrip(".") or asked.run
    return name.rpartition("(")[0] if name.endswith(")") and name.rpartition("(")[2][:-1].isdigit() else name


def _revision(place: Place) -> str:
    """What `Context.revision` says in a step that runs now."""
    command = ["git", "-C", str(place.project), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


__all__ = ["Steps", "step_of"]
