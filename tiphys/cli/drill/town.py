"""A use case's world on the stage: files become a model, time passes, rides are asked about, the watch looks."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.drill.stage import Stage, outputs
from tiphys.cli.drill.story import Link, require
from tiphys.settings import GovernorSettings, LedgerSettings

if TYPE_CHECKING:
    from tiphys.release.client import LedgerClient
    from tiphys.release.records import Recorded
    from tiphys.usecase import Rehearsal
    from tiphys.watch.governor_client import Told

Json = dict[str, Any]
SEED = 1
"""Of the files and of what lives: another would be another world."""
WEEKS = 2
"""Weeks of the use case's own clock that a stretch of live traffic lasts: whole ones, or weekdays would look like a drift."""
_LANDED_SECONDS, _TRAINED_SECONDS = 60.0, 1200.0
_PAUSE = 0.5


@dataclass(frozen=True)
class Lived:
    """A stretch of live traffic."""

    begin: datetime
    end: datetime
    error: float
    asked: int


class Town:
    """One use case's world, on one stage."""

    def __init__(self, stage: Stage, use_case: str) -> None:
        """Nobody lives there yet."""
        self._stage = stage
        self.use_case = use_case
        self._now = datetime(1970, 1, 1, tzinfo=UTC)
        """The use case's own clock."""
        self.rate = 0.0
        """Questions an hour of it: as many as the first model's data have, for a flood would be an alarm of its own."""

    def files(self, folder: Path, wanted: Rehearsal) -> None:
        """Make the files of the first model."""
        months = ["--months", wanted.months] if wanted.months else []
        rows = ["--rows", f"{wanted.rows}", "--seed", f"{SEED}", *months]
        self._stage.cli("simulate", str(folder), "--use-case", self.use_case, *rows)

    def train(self, files: Path, *, code: int | None = 0, **given: str) -> Json:
        """Run ``continuous-training`` on a folder of files; its summary."""
        parameters = {"use-case": self.use_case, **given}
        return self._stage.run("continuous-training", parameters, "--upload", f"source={files}", code=code)

    def live(self, *, weeks: int = WEEKS, scenario: str = "") -> Lived:
        """Let the use case's world live on for a while."""
        begin = self._now
        given = {"start": iso(begin), "hours": f"{7 * 24 * weeks}", "rate": f"{self.rate:.4f}", "seed": f"{SEED}"}
        if scenario:
            given |= {"scenario": scenario, "scenario-from": iso(begin)}
        told = outputs(self._stage.run("live-city", {"use-case": self.use_case, **given}))
        require(told["simulate-refused"] == "0", f"{told['simulate-refused']} questions were refused")
        self._now = begin + timedelta(weeks=weeks)
        self.wait(_LANDED_SECONDS, "the gateway's log on S3", self._landed)
        return Lived(begin, self._now, float(told["simulate-mean-error"]), int(told["simulate-asked"]))

    def watch(self, lived: Lived) -> tuple[str, list[Json]]:
        """Collect and look at a stretch; the verdict, and the alerts that were sent."""
        window = {"use-case": self.use_case, "since": iso(lived.begin), "until": iso(lived.end)}
        told = outputs(self._stage.run("drift-watch", window))
        return told["monitor-verdict"], json.loads(told["monitor-alerts"])

    def _landed(self) -> bool:
        """Whether all that the gateway wrote down is on S3."""
        import urllib3

        from tiphys.settings import AdminSettings, AgentsSettings

        url = self._stage.settings_of(AgentsSettings, "cli").gateway_admin_url + "/admin/v1/arms"
        token = self._stage.settings_of(AdminSettings, "cli").token
        reply = urllib3.request("GET", url, headers={"Authorization": f"Bearer {token}"}, timeout=10.0, retries=False)
        spool = reply.json()["spool"]
        require(spool["dropped"] == 0, f"the gateway dropped {spool['dropped']} lines of its log")
        return bool(spool["waiting"] == 0)

    def events(self) -> list[Told]:
        """What the governor was told, with its decisions."""
        from tiphys.watch import governor_client

        return governor_client.events(self._stage.settings_of(GovernorSettings, "cli"), 200)

    def ended(self, run: str) -> Json:
        """Wait for a run that somebody else started."""
        self._stage.cli("watch", run, code=None, within=_TRAINED_SECONDS)
        return self._stage.once_more(self._stage.summary(run))

    def runs(self) -> set[str]:
        """Names of all runs."""
        return set(self._stage.cli("list", "--limit", "0", "-o", "name").split())

    def _ledger(self) -> LedgerClient:
        from tiphys.release.client import LedgerClient

        return LedgerClient(self._stage.settings_of(LedgerSettings, "cli"))

    def serving(self) -> Recorded:
        """What production is to serve now."""
        found = self._ledger().current("production").releases
        require(self.use_case in found, f"production serves no {self.use_case}")
        return found[self.use_case]

    def evaluation(self, good: Recorded) -> Json:
        """What the ledger knows of how a release was judged."""
        weighed = self._ledger().weighed(good.manifest_sha256)
        return dict(next(each.content for each in weighed if each.kind == "evaluation"))

    def look_at(self, dataset: str) -> None:
        """Begin the own clock where the rows of a dataset version end, at their rate."""
        from tiphys.lake.catalog import Lake
        from tiphys.lake.dataset import Dataset
        from tiphys.settings import CatalogSettings, S3Settings

        lake = Lake(
            self._stage.settings_of(CatalogSettings, "evaluate"), self._stage.settings_of(S3Settings, "evaluate")
        )
        months = Dataset.open(dataset, lake).months
        last = datetime.strptime(max(months), "%Y-%m").replace(tzinfo=UTC)
        self._now = _month_after(last)
        self.rate = months[max(months)] / ((self._now - last).days * 24)

    def still(self, link: Link, good: Recorded | None = None) -> None:
        """Say that production serves what it served."""
        now = self.serving()
        if good is not None:
            require(now.image == good.image, f"production went from {good.model_version} to {now.model_version}")
        link.say(f"production still serves {now.model_version}")

    def wait(self, seconds: float, what: str, ready: Any) -> Any:
        """Wait until ``ready()`` says something, and answer with it.

        Raises:
            LinkError: it does not within so long.
        """
        until = time.monotonic() + seconds
        while not (found := ready()):
            require(time.monotonic() < until, f"{what} was to be there within {seconds:.0f} s")
            time.sleep(_PAUSE)
        return found


def _month_after(first: datetime) -> datetime:
    return (first + timedelta(days=31)).replace(day=1)


def iso(moment: datetime) -> str:
    """Write a moment as workflows take it."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")
