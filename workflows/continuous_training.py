"""From raw files to a gated, load-tested, judged model in production: the continuous-training pipeline."""

from itertools import pairwise

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate

from components.check_data.contract import CONTRACT as CHECK_DATA
from components.claim_training.contract import CONTRACT as CLAIM_TRAINING
from components.collect_outcomes.contract import CONTRACT as COLLECT_OUTCOMES
from components.etl.contract import CONTRACT as ETL
from components.evaluate.contract import CONTRACT as EVALUATE
from components.export.contract import CONTRACT as EXPORT
from components.ingest.contract import CONTRACT as INGEST
from components.summary.contract import CONTRACT as SUMMARY
from components.train.contract import CONTRACT as TRAIN
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow
from workflows._shipping import ship, shipped, told

NAME = "continuous-training"
DESCRIPTION = """\
Trains a model on new data and ships it, if it deserves it.

1. `ingest`, `etl`, `check-data`: raw files become a dataset version; a version that breaks its contract stops the run
2. `train`, `evaluate`: a model is trained and judged against the status quo; one that misses a gate stops the run
3. `export`, `deploy`, `integration-test`, `load-test`: it is put into **staging** and has to hold its service level
4. `canary`, `judge`: artificial riders, and a few live ones, ask it beside what serves now; all evidence is weighed
5. `promote`, or `rollback`: it goes to **production**, or out of traffic, and then the run ends as Failed and says why

With `promote` set to `false` it ends after 3.

Started by an event, it shows first that a yes of the governor meant it. Asked for because the world changed, it gets `live` and `recent-from`: live rides are collected first, the training chooses its
window, and the candidate has to beat `champion` on the newest rows and must not be worse on the trusted ones.

Give `source`; all else has a default. Two runs of one use case wait for one another. The reports are artifacts of their
steps, the end is summed up by `summary`.
"""
PARAMETERS = [
    Parameter(name="use-case", value="taxi_eta", description="what to train: a folder of usecases/"),
    Parameter(
        name="source",
        description="raw files: s3://BUCKET/PREFIX/; must be given. From a laptop `--upload source=FOLDER` makes one",
    ),
    Parameter(
        name="live",
        value="false",
        enum=["true", "false"],
        description="true: collect what came of live answers first; they are trained on, too, and trusted ones judge the candidate",
    ),
    Parameter(name="first-month", value="", description="first month to use, as 2018-01; empty: the earliest there is"),
    Parameter(
        name="last-month", value="", description="last month, which is the test month; empty: the latest there is"
    ),
    Parameter(
        name="accept-shift",
        value="false",
        enum=["true", "false"],
        description="true: train although the data moved far from what was trained on last",
    ),
    Parameter(
        name="recent-from",
        value="",
        description="the world changed then, as 2019-05-13T08:00:00 by the use case's own clock: newer rows decide what is "
        "learnt and are judged on; empty: all rows alike",
    ),
    Parameter(
        name="champion",
        value="",
        description="version to beat on the newest rows and the trusted holdout: models:/USE_CASE/N, or "
        "models:/USE_CASE@production; empty: nobody",
    ),
    Parameter(
        name="promote",
        value="true",
        enum=["true", "false"],
        description="true: judge it in canary and promote it if it deserves it; false: stop after staging's load test",
    ),
    Parameter(
        name="governed",
        value="false",
        enum=["true", "false"],
        description="true: an event started it; the governor is asked first whether a yes of its own did, with these very parameters",
    ),
    started_by(),
]


def pipeline() -> WorkflowTemplate:
    """Render the DAG."""
    lock = f"use-case-{given('use-case')}"  # of the whole run: months, the registered version and staging are the use case's own
    with workflow(
        NAME, "Continuous training", DESCRIPTION, PARAMETERS, within="4h", lock=lock, on_exit="finish"
    ) as made:
        use_case = {"use-case": given("use-case")}
        with DAG(name="pipeline"):
            claim = Task(
                name="claim-training",
                template=template(CLAIM_TRAINING),
                when=f"{given('governed')} == true",
                arguments={
                    **use_case,
                    **{name: given(name) for name in ("source", "recent-from", "champion", "started-by")},
                    "uid": "{{workflow.uid}}",
                },
            )
            collect = Task(
                name="collect-outcomes",
                template=template(COLLECT_OUTCOMES),
                when=f"{given('live')} == true",
                arguments={**use_case},
            )
            sources = {"source": given("source"), "live": collect.get_parameter("live-source")}
            ingest = Task(name="ingest", template=template(INGEST), arguments={**use_case, **sources})
            etl = Task(
                name="etl",
                template=template(ETL),
                arguments={
                    **use_case,
                    "manifest": ingest.get_parameter("manifest"),
                    "first-month": given("first-month"),
                    "last-month": given("last-month"),
                },
            )
            dataset = {"dataset": etl.get_parameter("dataset")}
            check = Task(
                name="check-data",
                template=template(CHECK_DATA),
                arguments={
                    **use_case,
                    **dataset,
                    "live": collect.get_parameter("live-source"),
                    "accept-shift": given("accept-shift"),
                },
            )
            train = Task(
                name="train",
                template=template(TRAIN),
                arguments={**use_case, **dataset, "recent-from": given("recent-from")},
            )
            window = {"window": train.get_parameter("window")}
            candidate = {"model-uri": train.get_parameter("model-uri"), "mlflow-run": train.get_parameter("mlflow-run")}
            against = {"champion": given("champion"), "holdout": collect.get_parameter("labelled-snapshot")}
            evaluate = Task(
                name="evaluate",
                template=template(EVALUATE),
                arguments={**use_case, **dataset, **candidate, **window, **against},
            )
            passed = {name: evaluate.get_parameter(name) for name in ("model-version", "shortlist", "candidates")}
            export = Task(
                name="export", template=template(EXPORT), arguments={**use_case, **dataset, **passed, **window}
            )
            model = {
                "model-version": export.get_parameter("model-version"),
                **dataset,
                **window,
                "repository": export.get_parameter("repository"),
                "manifest-sha256": export.get_parameter("manifest-sha256"),
                "mlflow-run": train.get_parameter("mlflow-run"),
            }
            package = ship(model, _found(train, evaluate, export), only_if=f"{given('promote')} == true")
            for before, after in pairwise((claim, collect, ingest, etl, check, train, evaluate, export, package)):
                before.next(after)
        with DAG(name="finish"):
            Task(name="summary", template=template(SUMMARY), arguments={**use_case, **_summary()})
    return made


def _found(train: Task, evaluate: Task, export: Task) -> dict[str, Parameter]:
    """What the steps before staging found out, for the ledger."""
    return {
        "model-uri": train.get_parameter("model-uri"),
        "metrics": export.get_parameter("metrics"),
        "gates": export.get_parameter("gates"),
        "gate-verdict": evaluate.get_parameter("verdict"),
        "kind": export.get_parameter("kind"),
        "candidates": export.get_parameter("candidates"),
        "champion": evaluate.get_parameter("beaten"),
        "window": train.get_parameter("window"),
        "variant": export.get_parameter("chosen"),
        "variant-why": export.get_parameter("why"),
        "variants": export.get_parameter("variants"),
        "max-difference": export.get_parameter("max-difference"),
        "rows-compared": export.get_parameter("rows-compared"),
        "coverage": export.get_parameter("coverage"),
        "interval-width": export.get_parameter("interval-width"),
    }


def _summary() -> dict[str, str]:
    return {
        **shipped(),
        "dataset": told("etl-dataset"),
        "rows-in": told("etl-rows-in"),
        "rows-kept": told("etl-rows-kept"),
        "rows-rejected": told("etl-rows-rejected"),
        "months": told("etl-months"),
        "months-computed": told("etl-months-computed"),
        "train-reused": told("train-reused"),
        "mlflow-run": told("train-mlflow-run"),
        "metrics": told("evaluate-metrics"),
        "verdict": told("evaluate-verdict"),
        "model-version": told("evaluate-model-version"),
        "exported-version": told("export-model-version"),
        "exported-metrics": told("export-metrics"),
        "candidates": told("export-candidates"),
    }
