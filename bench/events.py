"""The governor under a crowd and under SIGKILL: 1,000 events, half of them duplicates, 100 senders at once.

    .venv/bin/python bench/events.py [--seed 1] [--kills 6]

* quiet: nobody dies; how long a sender waits until its event is on the disk.
* killed: the governor is killed at moments that the seed decides and started again; senders come again with the same id, as the
  client does by itself. The trainings are a stand-in that takes a tenth of a second, under the real binding, in the real engine.

Before anything is printed: every id is there once, every event has one decision, nothing waits, and the engine has one run for each
yes and none beside them.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from governor_world import TINY, Watch, free_base, watch

from tiphys.errors import RetryableError
from tiphys.settings import GovernorSettings
from tiphys.watch import governor_client
from tiphys.watch.alerts import Alert, Request

EVENTS, AT_ONCE = 1000, 100
SPEED = "60"
"""A minute of the governor's clock passes in a second, so that alerts settle while one looks."""
_WITHIN = 300.0


def main() -> int:
    """Measure, check, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--kills", type=int, default=6)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    for name, kills in (("quiet", 0), ("killed", arguments.kills)):
        chance = random.Random(arguments.seed)  # noqa: S311 - the same each time
        print(f"{name}: {once(chance, kills)}", flush=True)
    return 0


def once(chance: random.Random, kills: int) -> str:
    """Send them all, wait for the decisions, check; what there is to say."""
    with (
        tempfile.TemporaryDirectory() as folder,
        watch(Path(folder), free_base(), TIPHYS_GOVERNOR_SPEED=SPEED) as found,
    ):
        train(found)
        events = crowd(chance)
        done, killed = threading.Event(), 0
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            told = {principal: found.settings(principal) for principal in ("cli", "tester")}
            waits = [pool.submit(send, told[principal], *event) for principal, *event in events]
            pool_done = threading.Thread(target=lambda: ([each.result() for each in waits], done.set()))
            pool_done.start()
            while killed < kills and not done.wait(chance.uniform(0.1, 1.0)):
                found.kill("governor")
                found.start("governor")
                killed += 1
            pool_done.join()
        took = time.monotonic() - began
        settle(found, kills - killed)
        return said(
            [each.result() for each in waits], took, killed, check(found, {identity for _, _, identity in events})
        )


def crowd(chance: random.Random) -> list[tuple[str, Alert | Request, str]]:
    """Who sends what under which id: half of them again, in any order."""
    made: list[tuple[str, Alert | Request, str]] = []
    for number in range(EVENTS // 2):
        identity = f"event-{number}"
        if number % 2:  # two senders, so that neither sends more than one may
            made.append(("cli", Request(use_case=TINY, asked_by="bench", reason="to see"), identity))
        else:
            kind = chance.choice(("error", "data", "label", "volume"))
            made.append(
                (
                    "tester",
                    Alert(use_case=TINY, kind=kind, subject=f"slice {chance.randrange(20)}", labelled=1000),
                    identity,
                )
            )
    crowded = made * 2
    chance.shuffle(crowded)
    return crowded


def send(settings: GovernorSettings, event: Alert | Request, identity: str) -> float:
    """Send one until it is taken; seconds that this took."""
    began = time.monotonic()
    while True:
        try:
            governor_client.send(settings, event, identity)
        except RetryableError:
            if time.monotonic() - began > _WITHIN:
                raise
        else:
            return time.monotonic() - began


def train(found: Watch) -> None:
    """Train once by hand, so that it is known what to train on."""
    name = found.train()
    while found.ask_engine("GET", f"/api/v1/workflows/default/{name}")["status"].get("phase") != "Succeeded":
        time.sleep(0.1)


def settle(found: Watch, kills: int) -> None:
    """Wait until all is decided and all trainings have ended; kill as often as is left meanwhile."""
    last = time.monotonic() + _WITHIN
    while True:
        if kills:
            found.kill("governor")
            found.start("governor")
            kills -= 1
        counts = dict(line.split() for line in found.ask("GET", "/metrics").data.decode().splitlines())
        if counts["tiphys_governor_waiting"] == counts["tiphys_governor_open"] == "0":
            return
        if time.monotonic() > last:
            raise SystemExit(f"not decided after {_WITHIN:.0f} s: {counts}")
        time.sleep(0.2)


def check(found: Watch, sent: set[str]) -> Counter[str]:
    """Hold the record against what was sent and what ran; how often each verdict."""
    secret = found.environment("governor")
    with psycopg.connect(
        secret["TIPHYS_GOVERNOR_DB_URL"],
        user=secret["TIPHYS_GOVERNOR_DB_USER"],
        password=secret["TIPHYS_GOVERNOR_DB_PASSWORD"],
    ) as database:
        rows = database.execute(
            "SELECT e.id, d.verdict, t.run FROM event e LEFT JOIN decision d ON d.event = e.number LEFT JOIN training t ON t.event = e.number"
        ).fetchall()
    ran = Counter(each["metadata"]["name"] for each in found.runs() if each["metadata"]["name"].startswith("retrain-"))
    meant = Counter(run for _, verdict, run in rows if verdict == "yes")
    wrong = {
        "ids lost or made up": {identity for identity, _, _ in rows} ^ sent,
        "ids twice": {identity: count for identity, count in Counter(row[0] for row in rows).items() if count > 1},
        "events without one decision": [row for row in rows if row[1] not in ("yes", "no")],
        "runs that are not one for each yes": (meant - ran) + (ran - meant),
    }
    if any(wrong.values()):
        raise SystemExit(f"wrong: { {name: each for name, each in wrong.items() if each} }")
    return Counter(verdict for _, verdict, _ in rows)


def said(waits: list[float], took: float, killed: int, verdicts: Counter[str]) -> str:
    """The figures in a line."""
    waits.sort()
    p50, p99 = 1000 * statistics.median(waits), 1000 * waits[int(len(waits) * 0.99)]
    return (
        f"{EVENTS} sent, {EVENTS // 2} duplicates, {AT_ONCE} at once in {took:.1f} s, governor killed {killed} times while they were sent; "
        f"taken after p50 {p50:.0f} ms, p99 {p99:.0f} ms; {verdicts['yes']} yes, {verdicts['no']} no, one decision each, none lost"
    )


if __name__ == "__main__":
    raise SystemExit(main())
