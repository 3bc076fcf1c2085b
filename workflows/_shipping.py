"""From a model repository to production: the half that every release goes through, whoever trained the model."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from hera.workflows import Parameter, Task, TaskResult

from components.canary.contract import CONTRACT as CANARY
from components.deploy.contract import CONTRACT as DEPLOY
from components.integration_test.contract import CONTRACT as INTEGRATION_TEST
from components.judge.contract import CONTRACT as JUDGE
from components.load_test.contract import CONTRACT as LOAD_TEST
from components.package.contract import CONTRACT as PACKAGE
from components.promote.contract import CONTRACT as PROMOTE
from components.rollback.contract import CONTRACT as ROLLBACK
from tiphys.manifest import template
from tiphys.workflow import given

Given = Mapping[str, str | Parameter]


def ship(model: Given, found: Given, *, only_if: str = "") -> Task:
    """Add ``package`` to ``promote`` or ``rollback`` to the DAG that is open; the first of them is answered.

    ``model`` names ``model-version``, ``repository``, ``manifest-sha256``, ``dataset``, ``window`` and ``mlflow-run``; ``found`` is what
    the steps before know, for the ledger. With ``only_if`` the canary and what comes after it run where that expression is true.
    """
    use_case, asked = {"use-case": given("use-case")}, {"asked-by": given("started-by")}
    repository, version, dataset, window, mlflow_run, manifest = (
        {name: model[name] for name in names}
        for names in (
            ("repository", "manifest-sha256"), ("model-version",), ("dataset",), ("window",), ("mlflow-run",), ("manifest-sha256",),
        )
    )  # fmt: skip
    package = Task(
        name="package", template=template(PACKAGE), arguments={**use_case, **dataset, **repository, **version}
    )
    release = {**repository, "image": package.get_parameter("image")}
    deploy = Task(
        name="deploy",
        template=template(DEPLOY),
        arguments={**use_case, **release, **version, **dataset, **asked, **mlflow_run, **found},
    )
    integrate = Task(
        name="integration-test",
        template=template(INTEGRATION_TEST),
        arguments={**use_case, **release, **version, **asked},
    )
    load = Task(
        name="load-test", template=template(LOAD_TEST), arguments={**use_case, **version, **manifest, **mlflow_run}
    )
    tested = {"staging-generation": deploy.get_parameter("generation")}
    canary = Task(
        name="canary",
        template=template(CANARY),
        when=only_if or None,
        arguments={**use_case, **dataset, **tested, **asked, **window},
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
    promoted = Task(
        name="promote",
        template=template(PROMOTE),
        when=f"{verdict.value} == promote",
        arguments={**use_case, **tested, **asked, **why, "canary-verdict": canary.get_parameter("verdict")},
    )
    rollback = Task(
        name="rollback",
        template=template(ROLLBACK),
        when=f"{verdict.value} != promote",
        arguments={**use_case, "environment": "canary", **asked, **why},
    )
    for before, after in pairwise((package, deploy, integrate, load, canary)):
        before.next(after)
    # A canary that was left out leaves out what comes after it, and the run ends as its last step did.
    canary.next(judge, on=TaskResult.succeeded)
    judge.next(promoted, on=TaskResult.succeeded)
    judge.next(rollback, on=TaskResult.succeeded)
    return package


def told(name: str) -> str:
    """Refer to what a step has told so far: its exported output."""
    return f"{{{{workflow.outputs.parameters.{name}}}}}"


def shipped() -> dict[str, str]:
    """What the steps from ``package`` on have told, as ``summary`` takes it."""
    return {
        "status": "{{workflow.status}}",
        "duration": "{{workflow.duration}}",
        "failures": "{{workflow.failures}}",
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
