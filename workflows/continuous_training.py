"""From raw files to a gated, load-tested model in production: the continuous-training pipeline."""

from itertools import pairwise

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate

from components.check_data.contract import CONTRACT as CHECK_DATA
from components.deploy.contract import CONTRACT as DEPLOY
from components.etl.contract import CONTRACT as ETL
from components.evaluate.contract import CONTRACT as EVALUATE
from components.export.contract import CONTRACT as EXPORT
from components.ingest.contract import CONTRACT as INGEST
from components.integration_test.contract import CONTRACT as INTEGRATION_TEST
from components.load_test.contract import CONTRACT as LOAD_TEST
from components.package.contract import CONTRACT as PACKAGE
from components.promote.contract import CONTRACT as PROMOTE
from components.summary.contract import CONTRACT as SUMMARY
from components.train.contract import CONTRACT as TRAIN
from tiphys.manifest import found_by, one_at_a_time, pods, started_by, template

NAME = "continuous-training"
DESCRIPTION = """\
Trains a model on new data and ships it, if it deserves it.

1. `ingest`, `etl`, `check-data`: raw files become a dataset version; a version that breaks its contract stops the run
2. `train`, `evaluate`: a model is trained and judged against the status quo; one that misses a gate stops the run
3. `export`, `deploy`, `integration-test`, `load-test`: it is put into **staging** and has to hold its service level
4. `promote`: what staging serves goes to **production**, unless `promote` is `false`

Give `source`; all else has a default. Two runs of one use case wait for one another. The reports are artifacts of their
steps, the end is summed up by `summary`.
"""
PARAMETERS = [
    Parameter(name="use-case", value="taxi_eta", description="what to train: a folder of usecases/"),
    Parameter(
        name="source",
        description="raw files: s3://BUCKET/PREFIX/; must be given. From a laptop `--upload source=FOLDER` makes one",
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
        description="true: promote to production when every gate holds; false: stop after staging's load test",
    ),
    started_by(),
]


def given(name: str) -> str:
    """Refer to a parameter of the workflow."""
    return f"{{{{workflow.parameters.{name}}}}}"


def told(name: str) -> str:
    """Refer to what a step has told so far: its exported output."""
    return f"{{{{workflow.outputs.parameters.{name}}}}}"


def pipeline() -> WorkflowTemplate:
    """Render the DAG."""
    with WorkflowTemplate(
        name=NAME,
        annotations={
            "workflows.argoproj.io/title": "Continuous training",
            "workflows.argoproj.io/description": DESCRIPTION,
        },
        entrypoint="pipeline",
        on_exit="finish",
        arguments=PARAMETERS,
        active_deadline_seconds=4 * 3600,
        workflow_metadata=found_by(NAME),
        # The whole run, not a step of it: months, the registered version and staging are the use case's own.
        synchronization=one_at_a_time(f"use-case-{given('use-case')}"),
        **pods(NAME),
    ) as workflow:
        use_case = {"use-case": given("use-case")}
        with DAG(name="pipeline"):
            ingest = Task(name="ingest", template=template(INGEST), arguments={**use_case, "source": given("source")})
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
            deploy = Task(name="deploy", template=template(DEPLOY), arguments={**use_case, **release, **version})
            integrate = Task(
                name="integration-test",
                template=template(INTEGRATION_TEST),
                arguments={**use_case, **release, **version},
            )
            load = Task(
                name="load-test",
                template=template(LOAD_TEST),
                arguments={**use_case, **version, "mlflow-run": train.get_parameter("mlflow-run")},
            )
            promote = Task(
                name="promote",
                template=template(PROMOTE),
                when=f"{given('promote')} == true",
                arguments={**use_case, "staging-generation": deploy.get_parameter("generation")},
            )
            steps = (ingest, etl, check, train, evaluate, export, package, deploy, integrate, load, promote)
            for before, after in pairwise(steps):
                before.next(after)
        with DAG(name="finish"):
            Task(name="summary", template=template(SUMMARY), arguments={**use_case, **_summary()})
    return workflow


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
        "production": told("promote-serving"),
    }
