"""The links of the loop, in the order in which a drift goes through them, and the refusals."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.cli.drill import saboteur
from tiphys.cli.drill.stage import Stage, failed_step, outputs
from tiphys.cli.drill.story import Link, Story, require
from tiphys.cli.drill.town import WEEKS, Town, iso
from tiphys.errors import SettingsError
from tiphys.settings import GovernorSettings
from tiphys.usecase import UseCase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tiphys.usecase import Policy, Rehearsal, Scenario
    from tiphys.watch.governor_client import Told

Json = dict[str, Any]
LABELLED = 1.3
"""Questions that a drift is given for each labelled row that the policy wants: not everybody reports."""
BETTER = 0.9
"""A model that was trained because of a drift must err at most so much of what the old one did."""
POISON = "false_outcomes"
"""Scenario whose reports are lies, told by many."""
_DECIDED_SECONDS = 60.0


class Chain:
    """One rehearsal of one scenario."""

    def __init__(self, stage: Stage, story: Story, use_case: str, scenario: Scenario) -> None:
        """Nothing has happened yet.

        Raises:
            SettingsError: the use case's clock cannot run fast.
        """
        self._stage = stage
        self._story = story
        self._town = Town(stage, use_case)
        self._scenario = scenario
        found = UseCase(use_case)
        if not found.live.moment:
            message = f"{use_case} cannot be rehearsed: its questions carry no clock of their own (live.py: moment)"
            raise SettingsError(message)
        self._policy: Policy = found.part("policy").POLICY
        self._rehearsal: Rehearsal = found.part("scenarios").REHEARSAL
        self._raw = stage.settings.home / "raw"
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
        self._town.files(self._raw, self._rehearsal)
        told = outputs(self._town.train(self._raw))
        link.say(f"{told['promote-serving']}; the gate says {told['evaluate-verdict']}")
        self._town.look_at(str(self._town.evaluation(self._town.serving())["dataset"]))

    def _calm(self, link: Link) -> None:
        lived = self._town.live()
        verdict, alerts = self._town.watch(lived)
        require(
            verdict == "stable" and not alerts, f"nothing was to alarm, but the verdict is {verdict}: {_texts(alerts)}"
        )
        link.say(f"{lived.asked} questions, mean error {lived.error:.1f}: {verdict}")

    # The drift.

    def _drift(self, link: Link) -> None:
        self._changed = time.monotonic()
        weeks = LABELLED * self._policy.min_labelled / self._town.rate / 7 / 24
        self._drifted = self._town.live(weeks=max(WEEKS, math.ceil(weeks)), scenario=self._scenario.name)
        verdict, self._alerts = self._town.watch(self._drifted)
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
        decided = self._town.wait(_DECIDED_SECONDS, "a decision on every alert", self._all_decided)
        yes = [each for each in decided if each.verdict == "yes"]
        require(
            len(yes) == 1, f"one alert was to start a training, and {len(yes)} did: {[each.reason for each in decided]}"
        )
        self._told = yes[0]
        link.say(f"yes: {yes[0].reason}")
        link.said.extend(_refused([each for each in decided if each.verdict != "yes"]))
        self._told = self._town.wait(_DECIDED_SECONDS, "the run that was started", self._started)
        link.say(f"started {self._told.run}")

    def _duplicate(self, link: Link) -> None:
        from tiphys.watch import governor_client
        from tiphys.watch.alerts import Alert

        body = next(each for each in self._alerts if self._told is not None and each["id"] == self._told.id)
        settings = self._stage.settings_of(GovernorSettings, "monitor")
        runs = self._town.runs()
        alert = Alert.model_validate({name: value for name, value in body.items() if name != "id"})
        reply = governor_client.send(settings, alert, body["id"])
        require(not reply.is_new, "the governor took the same alert for a new one")
        require(self._town.runs() == runs, f"runs started: {sorted(self._town.runs() - runs)}")
        link.say(f"answered with the decision it had: {reply.event.verdict}")

    def _new_model(self, link: Link) -> None:
        assert self._told is not None  # noqa: S101 - the link before
        before = self._town.serving()
        summary = self._town.ended(self._told.run)
        told = outputs(summary)
        after = self._town.serving()
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
        lived = self._town.live(scenario=self._scenario.name)
        wanted = BETTER * self._drifted.error
        require(lived.error <= wanted, f"its error was to be at most {wanted:.1f}, and is {lived.error:.1f}")
        link.say(f"mean error {lived.error:.1f}, where the old model had {self._drifted.error:.1f}")

    # The refusals.

    def _bad_data(self, link: Link) -> None:
        with tempfile.TemporaryDirectory(prefix="drill-") as scratch:
            torn = saboteur.tear(self._raw, Path(scratch) / "torn")
            summary = self._town.train(torn, code=1)
        step, message = failed_step(summary)
        require(step == "check-data", f"check-data was to stop it, but {step or 'nothing'} did: {message}")
        link.say(f"every {saboteur.TORN}rd row had lost its last column")
        self._town.still(link)

    def _poison(self, link: Link) -> None:
        good = self._town.serving()
        lived = self._town.live(scenario=POISON)
        given = {"live": "true", "champion": f"models:/{good.model}@production", "recent-from": iso(lived.begin)}
        summary = self._town.train(self._raw, code=None, **given)
        step, message = failed_step(summary)
        told = outputs(summary)
        link.say(f"{lived.asked} questions; {step or 'nothing'} stopped it: {told.get('evaluate-verdict') or message}")
        self._town.still(link, good)

    def _bad_canary(self, link: Link) -> None:
        good = self._town.serving()
        papers = self._town.evaluation(good)
        given = saboteur.swap(self._stage, good)
        given |= {"dataset": str(papers["dataset"]), "mlflow-run": str(papers["mlflow_run"])}
        summary = self._stage.run("ship", given, code=1)
        told = outputs(summary)
        verdict = told.get("canary-verdict", "")
        require(verdict not in {"", "promote"}, f"the canary was to refuse it, and said {verdict or 'nothing'!r}")
        link.say(f"{verdict} after {told['canary-answers']} questions: {told['canary-reasons']}")
        self._town.still(link, good)

    def _all_decided(self) -> list[Told]:
        """The events of these alerts, once every one is decided."""
        known = {each["id"] for each in self._alerts}
        found = [each for each in self._town.events() if each.id in known]
        return found if len(found) == len(known) and all(each.verdict != "wait" for each in found) else []

    def _started(self) -> Told | None:
        assert self._told is not None  # noqa: S101 - asked for after the decision
        return next((each for each in self._town.events() if each.id == self._told.id and each.run), None)


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


def _texts(alerts: list[Json]) -> str:
    return "; ".join(f"{each['kind']} of {each['subject']}: {each['text']}" for each in alerts) or "no alert"
