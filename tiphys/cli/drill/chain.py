"""The links of the loop, in the order in which a drift goes through them, and the refusals."""

from __future__ import annotations

import json
import math
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.drill import saboteur
from tiphys.cli.drill.stage import Stage, failed_step, outputs
from tiphys.cli.drill.story import Link, Story, require
from tiphys.errors import SettingsError
from tiphys.settings import GovernorSettings, LedgerSettings
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiphys.release.client import LedgerClient
    from tiphys.release.records import Recorded
    from tiphys.usecase import Policy, Rehearsal, Scenario
    from tiphys.watch.governor_client import Told

Json = dict[str, Any]
SEED = 1
"""Of the files and of what lives: another would be another world."""
WEEKS = 2
"""Weeks of the use case's own clock that a stretch of live traffic lasts: whole ones, or weekdays would look like a drift."""
LABELLED = 1.3
"""Questions that a drift is given for each labelled row that the policy wants: not everybody reports."""
BETTER = 0.9
"""A model that was trained because of a drift must err at most so much of what the old one did."""
POISON = "false_outcomes"
"""Scenario whose reports are lies, told by many."""
_LANDED_SECONDS, _DECIDED_SECONDS, _TRAINED_SECONDS = 60.0, 60.0, 1200.0
_PAUSE = 0.5


@dataclass(frozen=True)
class Lived:
    """A stretch of live traffic."""

    begin: datetime
    end: datetime
    error: float
    asked: int


class Chain:
    """One rehearsal of one scenario."""

    def __init__(self, stage: Stage, story: Story, use_case: str, scenario: Scenario) -> None:
        """Nothing has happened yet.

        Raises:
            SettingsError: the use case's clock cannot run fast.
        """
        self._stage = stage
        self._story = story
        self._name = use_case
        self._scenario = scenario
        found = UseCase(use_case)
        if not found.live.moment:
            message = f"{use_case} cannot be rehearsed: its questions carry no clock of their own (live.py: moment)"
            raise SettingsError(message)
        self._policy: Policy = found.part("policy").POLICY
        self._rehearsal: Rehearsal = found.part("scenarios").REHEARSAL
        self._raw = stage.settings.home / "raw"
        self._now = datetime(1970, 1, 1, tzinfo=UTC)
        """The use case's own clock."""
        self._rate = 0.0
        """Questions an hour of it: as many as the first model's data have, for a flood would be an alarm of its own."""
        self._changed = 0.0
        """When the first drifted ride was asked about, by the wall's monotonic clock."""
        self._alerts: list[Json] = []
        self._told: Told | None = None

    def rehearse(self) -> None:
        """Go through all of it.

        Raises:
            LinkError: a link does not hold.
        """
        for chapter, links in {
            "Before": {
                "servers of its own": self._up,
                "a first model reaches production": self._first_model,
                "the world is as it was, and nobody is alarmed": self._calm,
            },
            f"Drift: {self._scenario.name}": {
                "the world changes, and the watch sees it": self._drift,
                "the governor decides to train, and says why": self._decision,
                "the same alert again stays quiet": self._duplicate,
                "a new model is trained, proven and shipped, with nobody at the keyboard": self._new_model,
                "it is right about the new world": self._better,
            },
            "What must not get through": {
                "bad data stops at the check": self._bad_data,
                "poisoned outcomes stop before production": self._poison,
                "a bad model with good papers is rolled back by the canary": self._bad_canary,
            },
        }.items():
            self._story.chapter(chapter)
            for name, link in links.items():
                with self._story.link(name) as said:
                    link(said)
                    if self._stage.busy:
                        said.say(
                            f"this machine is busy: {self._stage.busy} load tests missed the SLO and were held once more"
                        )
                        self._stage.busy = 0

    # Before.

    def _up(self, link: Link) -> None:
        self._stage.cli("up")
        link.say(f"ports {self._stage.settings.port_base} and on; the governor's clock runs fast")

    def _first_model(self, link: Link) -> None:
        wanted = ["--rows", f"{self._rehearsal.rows}", "--seed", f"{SEED}"]
        wanted += ["--months", self._rehearsal.months] if self._rehearsal.months else []
        self._stage.cli("simulate", str(self._raw), "--use-case", self._name, *wanted)
        told = outputs(self._train(self._raw))
        link.say(f"{told['promote-serving']}; the gate says {told['evaluate-verdict']}")
        self._look_at(str(self._evaluation(self._serving())["dataset"]))

    def _calm(self, link: Link) -> None:
        lived = self._live()
        verdict, alerts = self._watch(lived)
        require(
            verdict == "stable" and not alerts, f"nothing was to alarm, but the verdict is {verdict}: {_texts(alerts)}"
        )
        link.say(f"{lived.asked} questions, mean error {lived.error:.1f}: {verdict}")

    # The drift.

    def _drift(self, link: Link) -> None:
        self._changed = time.monotonic()
        weeks = LABELLED * self._policy.min_labelled / self._rate / 7 / 24
        self._drifted = self._live(weeks=max(WEEKS, math.ceil(weeks)), scenario=self._scenario.name)
        verdict, self._alerts = self._watch(self._drifted)
        kinds = {each["kind"] for each in self._alerts}
        wanted = set(self._scenario.shows)
        require(
            bool(kinds & wanted),
            f"an alert of {' or '.join(sorted(wanted))} was to come; {verdict}: {_texts(self._alerts)}",
        )
        link.say(f"{self._drifted.asked} questions, mean error {self._drifted.error:.1f}")
        critical = [each for each in self._alerts if each["severity"] == "critical"]
        link.said.extend(f"critical: {each['text']}" for each in critical)
        others = [_subject(each["kind"], each["subject"]) for each in self._alerts if each not in critical]
        if others:
            link.say(f"{len(others)} warnings: {', '.join(others)}")

    def _decision(self, link: Link) -> None:
        decided = self._wait(_DECIDED_SECONDS, "a decision on every alert", self._all_decided)
        yes = [each for each in decided if each.verdict == "yes"]
        require(
            len(yes) == 1, f"one alert was to start a training, and {len(yes)} did: {[each.reason for each in decided]}"
        )
        self._told = yes[0]
        link.say(f"yes: {yes[0].reason}")
        link.said.extend(_refused([each for each in decided if each.verdict != "yes"]))
        self._told = self._wait(_DECIDED_SECONDS, "the run that was started", self._started)
        link.say(f"started {self._told.run}")

    def _duplicate(self, link: Link) -> None:
        from tiphys.watch import governor_client
        from tiphys.watch.alerts import Alert

        body = next(each for each in self._alerts if self._told is not None and each["id"] == self._told.id)
        settings = self._stage.settings_of(GovernorSettings, "monitor")
        runs = self._runs()
        alert = Alert.model_validate({name: value for name, value in body.items() if name != "id"})
        reply = governor_client.send(settings, alert, body["id"])
        require(not reply.is_new, "the governor took the same alert for a new one")
        require(self._runs() == runs, f"runs started: {sorted(self._runs() - runs)}")
        link.say(f"answered with the decision it had: {reply.event.verdict}")

    def _new_model(self, link: Link) -> None:
        assert self._told is not None  # noqa: S101 - the link before
        before = self._serving()
        summary = self._ended(self._told.run)
        told = outputs(summary)
        after = self._serving()
        step, why = failed_step(summary)
        found = f"{step} ended it: {why}; {told.get('evaluate-verdict', '')}" if step else "it ended"
        require(summary["phase"] == "Succeeded", f"{self._told.run} was to succeed: {found}")
        require(after.model_version != before.model_version, f"production still serves {before.model_version}: {found}")
        link.say(f"{before.model_version} -> {after.model_version}; {told['evaluate-verdict']}")
        link.say(f"in production {time.monotonic() - self._changed:.0f} s after the first drifted ride was asked about")
        link.say(
            f"canary: {told['canary-verdict']} after {told['canary-answers']} questions; passport {after.passport[:16]}"
        )

    def _better(self, link: Link) -> None:
        lived = self._live(scenario=self._scenario.name)
        wanted = BETTER * self._drifted.error
        require(lived.error <= wanted, f"its error was to be at most {wanted:.1f}, and is {lived.error:.1f}")
        link.say(f"mean error {lived.error:.1f}, where the old model had {self._drifted.error:.1f}")

    # The refusals.

    def _bad_data(self, link: Link) -> None:
        with tempfile.TemporaryDirectory(prefix="drill-") as scratch:
            torn = saboteur.tear(self._raw, Path(scratch) / "torn")
            summary = self._train(torn, code=1)
        step, message = failed_step(summary)
        require(step == "check-data", f"check-data was to stop it, but {step or 'nothing'} did: {message}")
        link.say(f"every {saboteur.TORN}rd row had lost its last column")
        self._still(link)

    def _poison(self, link: Link) -> None:
        good = self._serving()
        lived = self._live(scenario=POISON)
        given = {"live": "true", "champion": f"models:/{good.model}@production", "recent-from": _iso(lived.begin)}
        summary = self._train(self._raw, code=None, **given)
        step, message = failed_step(summary)
        told = outputs(summary)
        link.say(f"{lived.asked} questions; {step or 'nothing'} stopped it: {told.get('evaluate-verdict') or message}")
        self._still(link, good)

    def _bad_canary(self, link: Link) -> None:
        good = self._serving()
        papers = self._evaluation(good)
        given = saboteur.swap(self._stage, good)
        given |= {"dataset": str(papers["dataset"]), "mlflow-run": str(papers["mlflow_run"])}
        summary = self._stage.run("ship", given, code=1)
        told = outputs(summary)
        verdict = told.get("canary-verdict", "")
        require(verdict not in {"", "promote"}, f"the canary was to refuse it, and said {verdict or 'nothing'!r}")
        link.say(f"{verdict} after {told['canary-answers']} questions: {told['canary-reasons']}")
        self._still(link, good)

    # What links are made of.

    def _train(self, files: Path, *, code: int | None = 0, **given: str) -> Json:
        parameters = {"use-case": self._name, **given}
        return self._stage.run("continuous-training", parameters, "--upload", f"source={files}", code=code)

    def _live(self, *, weeks: int = WEEKS, scenario: str = "") -> Lived:
        """Let the use case's world live on for a while."""
        begin = self._now
        given = {"start": _iso(begin), "hours": f"{7 * 24 * weeks}", "rate": f"{self._rate:.4f}", "seed": f"{SEED}"}
        if scenario:
            given |= {"scenario": scenario, "scenario-from": _iso(begin)}
        told = outputs(self._stage.run("live-city", {"use-case": self._name, **given}))
        require(told["simulate-refused"] == "0", f"{told['simulate-refused']} questions were refused")
        self._now = begin + timedelta(weeks=weeks)
        self._wait(_LANDED_SECONDS, "the gateway's log on S3", self._landed)
        return Lived(begin, self._now, float(told["simulate-mean-error"]), int(told["simulate-asked"]))

    def _watch(self, lived: Lived) -> tuple[str, list[Json]]:
        """Collect and look at a stretch; the verdict, and the alerts that were sent."""
        window = {"use-case": self._name, "since": _iso(lived.begin), "until": _iso(lived.end)}
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

    def _all_decided(self) -> list[Told]:
        """The events of these alerts, once every one is decided."""
        known = {each["id"] for each in self._alerts}
        found = [each for each in self._events() if each.id in known]
        return found if len(found) == len(known) and all(each.verdict != "wait" for each in found) else []

    def _started(self) -> Told | None:
        assert self._told is not None  # noqa: S101 - asked for after the decision
        return next((each for each in self._events() if each.id == self._told.id and each.run), None)

    def _events(self) -> list[Told]:
        from tiphys.watch import governor_client

        return governor_client.events(self._stage.settings_of(GovernorSettings, "cli"), 200)

    def _ended(self, run: str) -> Json:
        """Wait for a run that somebody else started."""
        self._stage.cli("watch", run, code=None, within=_TRAINED_SECONDS)
        return self._stage.once_more(self._stage.summary(run))

    def _runs(self) -> set[str]:
        return set(self._stage.cli("list", "--limit", "0", "-o", "name").split())

    def _ledger(self) -> LedgerClient:
        from tiphys.release.client import LedgerClient

        return LedgerClient(self._stage.settings_of(LedgerSettings, "cli"))

    def _serving(self) -> Recorded:
        """What production is to serve now."""
        found = self._ledger().current("production").releases
        require(self._name in found, f"production serves no {self._name}")
        return found[self._name]

    def _evaluation(self, good: Recorded) -> Json:
        """What the ledger knows of how a release was judged."""
        weighed = self._ledger().weighed(good.manifest_sha256)
        return dict(next(each.content for each in weighed if each.kind == "evaluation"))

    def _look_at(self, dataset: str) -> None:
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
        self._rate = months[max(months)] / ((self._now - last).days * 24)

    def _still(self, link: Link, good: Recorded | None = None) -> None:
        """Say that production serves what it served."""
        now = self._serving()
        if good is not None:
            require(now.image == good.image, f"production went from {good.model_version} to {now.model_version}")
        link.say(f"production still serves {now.model_version}")

    def _wait(self, seconds: float, what: str, ready: Any) -> Any:
        """Wait until ``ready()`` says something, and answer with it.

        Raises:
            LinkError: it does not within so long.
        """
        until = time.monotonic() + seconds
        while not (found := ready()):
            require(time.monotonic() < until, f"{what} was to be there within {seconds:.0f} s")
            time.sleep(_PAUSE)
        return found


def _subject(kind: str, subject: str) -> str:
    return f"{kind} of {subject}"


def _refused(told: list[Told]) -> Iterator[str]:
    """One line for all that were refused for one reason, which begins alike and tells each its own figures."""
    reasons: dict[str, list[Told]] = {}
    for each in told:
        reasons.setdefault(each.reason.partition(",")[0], []).append(each)
    for alike in reasons.values():
        subjects = ", ".join(_subject(each.kind, each.subject) for each in alike)
        yield f"no, to {len(alike)}: {alike[-1].reason}: {subjects}"


def _month_after(first: datetime) -> datetime:
    return (first + timedelta(days=31)).replace(day=1)


def _iso(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def _texts(alerts: list[Json]) -> str:
    return "; ".join(f"{each['kind']} of {each['subject']}: {each['text']}" for each in alerts) or "no alert"
