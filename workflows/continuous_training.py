"""From raw files to a gated, load-tested, judged model in production: the continuous-training pipeline."""

from itertools import pairwise

from hera.workflows import DAG, Parameter, Task, TaskResult, WorkflowTemplate

from components.canary.contract import CONTRACT as CANARY
from components.check_data.contract import CONTRACT as CHECK_DATA
from components.deploy.contract import CONTRACT as DEPLOY
from components.etl.contract import CONTRACT as ETL
from components.evaluate.contract import CONTRACT as EVALUATE
from components.export.contract import CONTRACT as EXPORT
from components.ingest.contract import CONTRACT as INGEST
from components.integration_test.contract import CONTRACT as INTEGRATION_TEST
from components.judge.contract import CONTRACT as JUDGE
from components.load_test.contract import CONTRACT as LOAD_TEST
from components.package.contract import CONTRACT as PACKAGE
from components.promote.contract import CONTRACT as PROMOTE
from components.rollback.contract import CONTRACT as ROLLBACK
from components.summary.contract import CONTRACT as SUMMARY
from components.train.contract import CONTRACT as TRAIN
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow

NAME = "continuous-training"
DESCRIPTION = """\
Trains a model on new data and ships it, if it deserves it.

1. `ingest`, `etl`, `check-data`: raw files become a dataset version; a version that breaks its contract stops the run
2. `train`, `evaluate`: a model is trained and judged against the status quo; one that misses a gate stops the run
3. `export`, `deploy`, `integration-test`, `load-test`: it is put into **staging** and has to hold its service level
4. `canary`, `judge`: artificial riders, and a few live ones, ask it beside what serves now; all evidence is weighed
5. `promote`, or `rollback`: it goes to **production**, or out of traffic, and then the run ends as Failed and says why

With `promote` set to `false` it ends after 3.

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
        value="",
        description="files of live data to train on as well, as collect-outcomes made them: s3://raw/USE_CASE/live/DIGEST/",
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
        name="promote",
        value="true",
        enum=["true", "false"],
        description="true: judge it in canary and promote it if it deserves it; false: stop after staging's load test",
    ),
    started_by(),
]


def told(name: str) -> str:
    """Refer to what a step has told so far: its exported output."""
    return f"{{{{workflow.outputs.parameters.{name}}}}}"


def pipeline() -> WorkflowTemplate:
    """Render the DAG."""
    lock = f"use-case-{given('use-case')}"  # of the whole run: months, the registered version and staging are the use case's own
    with workflow(
        NAME, "Continuous training", DESCRIPTION, PARAMETERS, within="4h", lock=lock, on_exit="finish"
    ) as made:
        use_case, asked = {"use-case": given("use-case")}, {"asked-by": given("started-by")}
        with DAG(name="pipeline"):
            sources = {name: given(name) for name in ("source", "live")}
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
                arguments={**use_case, **dataset, "accept-shift": given("accept-shift")},
            )
            train = Task(name="train", template=template(TRAIN), arguments={**use_case, **dataset})
            candidate = {"model-uri": train.get_parameter("model-uri"), "mlflow-run": train.get_parameter("mlflow-run")}
            evaluate = Task(
                name="evaluate", template=template(EVALUATE), arguments={**use_case, **dataset, **candidate}
            )
            version = {"model-version": evaluate.get_parameter("model-version")}
            export = Task(name="export", template=template(EXPORT), arguments={**use_case, **dataset, **version})
            release = {
                "repository": export.get_parameter("repository"),
                "manifest-sha256": export.get_parameter("manifest-sha256"),
            }
            package = Task(
                name="package", template=template(PACKAGE), arguments={**use_case, **dataset, **release, **version}
            )
            release |= {"image": package.get_parameter("image")}
            deploy = Task(
                name="deploy",
                template=template(DEPLOY),
                arguments={**use_case, **release, **version, **dataset, **asked, **_found(train, evaluate, export)},
            )
            integrate = Task(
                name="integration-test",
                template=template(INTEGRATION_TEST),
                arguments={**use_case, **release, **version, **asked},
            )
            manifest = {"manifest-sha256": release["manifest-sha256"]}
            load = Task(
                name="load-test",
                template=template(LOAD_TEST),
                arguments={
                    **use_case, **version, **manifest, "mlflow-run": train.get_parameter("mlflow-run"),
                },
            )  # fmt: skip
            tested = {"staging-generation": deploy.get_parameter("generation")}
            canary = Task(
                name="canary",
                template=template(CANARY),
                when=f"{given('promote')} == true",
                arguments={**use_case, **dataset, **tested, **asked},
            )
            judge = Task(
                name="judge",
                template=template(JUDGE),
                arguments={
                    **use_case,
                    **version,
                    **manifest,
                    **asked,
                    "canary-verdict": canary.get_parameter("verdict"),
                    "canary-reasons": canary.get_parameter("reasons"),
                },
            )
            verdict, why = judge.get_parameter("verdict"), {"reasons": judge.get_parameter("reasons")}
            promote = Task(
                name="promote",
                template=template(PROMOTE),
                when=f"{verdict.value} == promote",
                arguments={
                    **use_case,
                    **tested,
                    **asked,
                    **why,
                    "canary-verdict": canary.get_parameter("verdict"),
                },
            )
            rollback = Task(
                name="rollback",
                template=template(ROLLBACK),
                when=f"{verdict.value} != promote",
                arguments={**use_case, "environment": "canary", **asked, **why},
            )
            steps = (ingest, etl, check, train, evaluate, export, package, deploy, integrate, load, canary)
            for before, after in pairwise(steps):
                before.next(after)
            # A canary that was left out leaves out what comes after it, and the run ends as its last step did.
            canary.next(judge, on=TaskResult.succeeded)
            judge.next(promote, on=TaskResult.succeeded)
            judge.next(rollback, on=TaskResult.succeeded)
        with DAG(name="finish"):
            Task(name="summary", template=template(SUMMARY), arguments={**use_case, **_summary()})
    return made


def _found(train: Task, evaluate: Task, export: Task) -> dict[str, Parameter]:
    """What the steps before staging found out, for the ledger."""
    return {
        "mlflow-run": train.get_parameter("mlflow-run"),
        "model-uri": train.get_parameter("model-uri"),
        "metrics": evaluate.get_parameter("metrics"),
        "gates": evaluate.get_parameter("gates"),
        "gate-verdict": evaluate.get_parameter("verdict"),
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
        "status": "{{workflow.status}}",
        "duration": "{{workflow.duration}}",
        "failures": "{{workflow.failures}}",
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
        "image": told("package-image"),
        "p50-ms": told("load-test-p50-ms"),
        "p95-ms": told("load-test-p95-ms"),
        "p99-ms": told("load-test-p99-ms"),
        "rate": told("load-test-rate"),
        "errors": told("load-test-errors"),
        "staging": told("deploy-serving"),
        "canary": told("canary-verdict"),
        "canary-answers": told("canary-answers"),
        "canary-reasons": told("canary-reasons"),
        "judgement": told("judge-verdict"),
        "production": told("promote-serving"),
        "kept": told("rollback-serving"),
        "passport": told("promote-passport"),
    }
