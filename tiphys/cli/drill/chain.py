"""The links of the loop, in the order in which a drift goes through them, and the four refusals."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tiphys.cli.drill import saboteur
from tiphys.cli.drill.stage import Stage, failed_step, outputs
from tiphys.cli.drill.story import Link, Story, require
from tiphys.release.client import LedgerClient
from tiphys.release.records import Recorded
from tiphys.settings import LedgerSettings
from tiphys.usecase import Scenario, UseCase


class Chain:
    """One rehearsal of one scenario."""

    def __init__(self, stage: Stage, story: Story, use_case: str, scenario: Scenario) -> None:
        """Nothing has happened yet."""
        self._stage = stage
        self._story = story
        self._name = use_case
        self._use_case = UseCase(use_case)
        self._scenario = scenario
        self._raw = stage.settings.home / "raw"

    def rehearse(self) -> None:
        """Go through all of it.

        Raises:
            LinkError: a link does not hold.
        """
        story = self._story
        story.chapter("Before")
        with story.link("servers of its own") as link:
            self._stage.cli("up")
            link.say(f"ports {self._stage.settings.port_base} and on; the governor's clock runs fast")
        with story.link("a first model reaches production") as link:
            self._first_model(link)
        story.chapter("What must not get through")
        with story.link("bad data stops at the check") as link:
            self._bad_data(link)
        with story.link("a bad model with good papers is rolled back by the canary") as link:
            self._bad_canary(link)

    def _first_model(self, link: Link) -> None:
        self._stage.cli("simulate", str(self._raw), "--use-case", self._name)
        told = outputs(self._train(self._raw))
        link.say(f"{told['promote-serving']}; {told['evaluate-verdict']}")

    def _bad_data(self, link: Link) -> None:
        with tempfile.TemporaryDirectory(prefix="drill-") as scratch:
            torn = saboteur.tear(self._raw, Path(scratch) / "torn")
            summary = self._train(torn, code=1)
        step, message = failed_step(summary)
        require(step == "check-data", f"check-data was to stop it, but {step or 'nothing'} did: {message}")
        link.say(f"every {saboteur.TORN}rd row had lost its last column")
        self._still(link)

    def _bad_canary(self, link: Link) -> None:
        good = self._serving()
        dataset = self._ledger().weighed(good.manifest_sha256)
        papers = next(each for each in dataset if each.kind == "evaluation")
        given = saboteur.swap(self._stage, good)
        given |= {"dataset": str(papers.content["dataset"]), "mlflow-run": str(papers.content["mlflow_run"])}
        summary = self._stage.run("ship", given, code=1)
        told = outputs(summary)
        verdict = told.get("canary-verdict", "")
        require(verdict not in {"", "promote"}, f"the canary was to refuse it, and said {verdict or 'nothing'!r}")
        link.say(f"{verdict} after {told['canary-answers']} questions: {told['canary-reasons']}")
        self._still(link, good)

    def _train(self, files: Path, code: int = 0) -> dict[str, object]:
        return self._stage.run(
            "continuous-training", {"use-case": self._name}, "--upload", f"source={files}", code=code
        )

    def _ledger(self) -> LedgerClient:
        return LedgerClient(self._stage.settings_of(LedgerSettings, "cli"))

    def _serving(self) -> Recorded:
        """What production is to serve now."""
        found = self._ledger().current("production").releases
        require(self._name in found, f"production serves no {self._name}")
        return found[self._name]

    def _still(self, link: Link, good: Recorded | None = None) -> None:
        """Say that production serves what it served."""
        now = self._serving()
        if good is not None:
            require(now.image == good.image, f"production went from {good.model_version} to {now.model_version}")
        link.say(f"production still serves {now.model_version}")
