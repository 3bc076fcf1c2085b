"""The governor's record in PostgreSQL: events, what was decided of each, and the trainings that followed. It knows no HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg

from tiphys.errors import RetryableError
from tiphys.service.database import Database
from tiphys.watch.alerts import Alert
from tiphys.watch.governor import figures, tables
from tiphys.watch.governor.claims import Meant
from tiphys.watch.governor.clock import Mark, resumed
from tiphys.watch.governor.decide import Decision, Event, Training
from tiphys.watch.governor_client import Told

if TYPE_CHECKING:
    from tiphys.watch.governor.argo import Source
    from tiphys.watch.governor.receive import Received

MOST_WAITING = 10_000
"""Events without a decision; more are refused until some are decided."""
PASS = MOST_WAITING
"""Events that are looked at in one go."""
TRAININGS = 1000
"""Trainings of one use case that are looked back on; a budget is smaller."""


class FullError(RetryableError):
    """Too many events wait for a decision."""


@dataclass(frozen=True)
class Waiting:
    """An event without a decision, and since when the world is another, as its sender says."""

    event: Event
    since: str


@dataclass(frozen=True)
class Flight:
    """A training that has not ended, as far as we know."""

    number: int
    """The event's."""
    event: str
    use_case: str
    run: str
    payload: str
    accepted: bool
    """Whether the event endpoint took it."""
    seen: bool
    """Whether its run was found."""
    accepted_s: float
    """Seconds since it was accepted; 0 where it was not."""


class Store:
    """The governor's tables."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """Remember where the database is: ``url`` is ``postgresql://HOST:PORT/DATABASE``."""
        self._database = Database(url, user, password, schema=tables.SCHEMA, service="governor")

    async def close(self) -> None:
        """Close the connection."""
        await self._database.close()

    async def ready(self) -> None:
        """Ask for nothing, to see that the database answers. Raises RetryableError."""
        await self._database.ready()

    async def add(self, received: Received, now: float) -> tuple[Told, bool]:
        """Keep an event; what is kept under its id now, and whether that is new.

        Raises:
            FullError: too many wait.
            RetryableError: the database does not answer.
        """
        event = received.event
        values = {
            "id": received.id, "source": received.source, "sender": received.sender, "trigger": received.trigger,
            "type": event.type, "use_case": event.use_case, "body": received.body, "received_own": now, "most": MOST_WAITING,
            "kind": "", "subject": "", "severity": "", "labelled": None, "since": "",
        }  # fmt: skip
        if isinstance(event, Alert):
            values |= event.model_dump(include={"kind", "subject", "severity", "text", "labelled"})
            values["since"] = _moment(event.window.from_) if event.window else ""
        else:
            values["text"] = f"{event.asked_by}: {event.reason}"
        made = await self._database.rows(tables.ADD_EVENT, values)
        if made:
            undecided = dict.fromkeys(("verdict", "run", "decided_at", "phase", "accepted"))
            return _told({**made[0], **undecided, "received_at": made[0]["received_s"]}, body=True), True
        kept = await self.event(received.id)
        if kept is None:
            message = f"{MOST_WAITING:,} events wait for a decision: send it again later"
            raise FullError(message)
        return kept, False

    async def event(self, identity: str) -> Told | None:
        """The event of that id."""
        rows = await self._database.rows(tables.EVENT, {"id": identity})
        return _told(rows[0], body=True) if rows else None

    async def beginning(self, identity: str) -> list[Told]:
        """The latest two events whose ids begin so."""
        return [_told(row, body=True) for row in await self._database.rows(tables.EVENTS_BEGINNING, {"id": identity})]

    async def events(self, limit: int, use_case: str = "") -> list[Told]:
        """The latest events, newest first."""
        return [_told(row) for row in await self._database.rows(tables.EVENTS, {"limit": limit, "use_case": use_case})]

    async def decisions(self, limit: int, use_case: str = "", verdict: str = "") -> list[Told]:
        """The events that were decided, the latest decision first."""
        values = {"limit": limit, "use_case": use_case, "verdict": verdict}
        return [_told(row) for row in await self._database.rows(tables.DECISIONS, values)]

    async def waiting(self) -> list[Waiting]:
        """The first events without a decision, in the order in which they came."""
        rows = await self._database.rows(tables.WAITING, {"limit": PASS})
        return [Waiting(Event(**{name: row[name] for name in row if name != "since"}), row["since"]) for row in rows]

    async def first(self, event: Event, since: float) -> Event | None:
        """The alert that came ``since`` then and was decided for all that are alike; None where there is none."""
        values = {"use_case": event.use_case, "kind": event.kind, "subject": event.subject, "number": event.number}
        rows = await self._database.rows(tables.FIRST, {**values, "since": since})
        return Event(**rows[0]) if rows else None

    async def with_alike(self, event: Event, until: float) -> tuple[Event, int]:
        """The event with the most labelled rows of all that are alike and came by ``until``; and how many they are."""
        values = {"use_case": event.use_case, "kind": event.kind, "subject": event.subject, "number": event.number}
        row = (await self._database.rows(tables.ALIKE, {**values, "until": until}))[0]
        return replace(event, labelled=row["labelled"]), max(1, row["together"])

    async def trainings(self, use_case: str) -> tuple[Training, ...]:
        """Those of a use case, newest first: all that have not ended, and the latest that have."""
        rows = await self._database.rows(tables.TRAININGS, {"use_case": use_case, "limit": TRAININGS})
        return tuple(Training(**row) for row in rows)

    async def count(self, use_case: str) -> int:
        """How many trainings of a use case were ever meant."""
        return int((await self._database.rows(tables.COUNT, {"use_case": use_case}))[0]["trainings"])

    async def decide(
        self, event: Event, decision: Decision, now: float, training: tuple[int, str, str] = (0, "", "")
    ) -> bool:
        """Write a decision, and with a yes the ``training``: its number, the run's name, what will be posted.

        False: somebody else decided in between, and nothing was written.
        """
        number, run, payload = training
        values = {
            "event": event.number, "use_case": event.use_case, "verdict": decision.verdict, "reason": decision.reason,
            "counted": json.dumps(decision.counted), "now": now, "training": number, "run": run, "payload": payload,
        }  # fmt: skip
        try:
            await self._database.rows(tables.DECIDE, values)
        except psycopg.errors.UniqueViolation:
            return False
        return True

    async def flights(self) -> list[Flight]:
        """The trainings that have not ended, in the order in which they were meant."""
        rows = await self._database.rows(tables.OPEN, {})
        return [Flight(**{**row, "accepted_s": row["accepted_s"] or 0.0}) for row in rows]

    async def accepted(self, flight: Flight) -> None:
        """Remember that the event endpoint took it."""
        await self._database.rows(tables.ACCEPTED, {"event": flight.number})

    async def saw(self, flight: Flight, phase: str, *, ended: bool) -> None:
        """Remember what its run was found as."""
        await self._database.rows(tables.SEEN, {"event": flight.number, "phase": phase, "ended": ended})

    async def lost(self, flight: Flight, phase: str) -> None:
        """Remember that there is no run of it, or none any more."""
        await self._database.rows(tables.LOST, {"event": flight.number, "phase": phase})

    async def meant(self, run: str) -> Meant | None:
        """The training whose run has that name."""
        rows = await self._database.rows(tables.MEANT, {"run": run})
        return Meant(**rows[0]) if rows else None

    async def claim(self, meant: Meant, uid: str) -> None:
        """Remember which run it is; the first counts."""
        await self._database.rows(tables.CLAIM, {"event": meant.number, "uid": uid})

    async def source(self, use_case: str) -> str:
        """The raw files that its trainings are made of; empty where none are known."""
        rows = await self._database.rows(tables.SOURCE, {"use_case": use_case})
        return str(rows[0]["source"]) if rows else ""

    async def keep_source(self, use_case: str, found: Source) -> None:
        """Remember them, and the run that used them."""
        values = {"use_case": use_case, "source": found.source, "run": found.run}
        await self._database.rows(tables.KEEP_SOURCE, values)

    async def keep_figures(self, use_case: str, text: str, sent: int) -> None:
        """Keep what monitor found of a use case, unless something later is there."""
        await self._database.rows(tables.KEEP_FIGURES, {"use_case": use_case, "text": text, "sent_s": sent})

    async def figures(self) -> list[str]:
        """What monitor found last, of each use case."""
        rows = await self._database.rows(tables.FIGURES, {"forgotten_s": figures.FORGOTTEN_S})
        return [str(row["text"]) for row in rows]

    async def resume(self, wall: float, speed: float) -> Mark:
        """Where the clock goes on, and write that down."""
        row = (await self._database.rows(tables.CLOCK, {}))[0]
        last = None if row["own"] is None else Mark(row["own"], row["wall"], row["speed"])
        mark = resumed(last, row["latest"], wall, speed)
        await self._database.rows(tables.KEEP_CLOCK, {"own": mark.own, "wall": mark.wall, "speed": mark.speed})
        return mark

    async def counts(self) -> dict[str, int]:
        """How many events wait, trainings are open, and what was decided."""
        return {name: int(count) for name, count in (await self._database.rows(tables.COUNTS, {}))[0].items()}


def _moment(moment: datetime) -> str:
    """A moment in UTC without a zone, as trainings take it."""
    utc = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="seconds")


def _told(row: dict[str, Any], *, body: bool = False) -> Told:
    decided = row["verdict"] is not None
    phase = row["phase"] or ("posted" if row["accepted"] else "to be posted") if row["run"] else ""
    same = (
        "number",
        "id",
        "source",
        "sender",
        "type",
        "use_case",
        "kind",
        "subject",
        "severity",
        "text",
        "received_at",
    )
    return Told(
        **{name: row[name] for name in same},
        verdict=row["verdict"] if decided else "wait",
        reason=row["reason"] if decided else "it waits for its decision",
        counted=json.loads(row["counted"]) if decided else {},
        decided_at=row["decided_at"] or 0.0,
        run=row["run"] or "",
        run_phase=phase,
        body=json.loads(row["body"]) if body else {},
    )
