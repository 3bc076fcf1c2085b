"""From a git revision of the service to staging by digest: its tests, its images, its release."""

from itertools import pairwise

from hera.workflows import DAG, Parameter, Task, WorkflowTemplate

from components.build_images.contract import CONTRACT as BUILD_IMAGES
from components.checkout.contract import CONTRACT as CHECKOUT
from components.deploy_service.contract import CONTRACT as DEPLOY_SERVICE
from components.test_code.contract import CONTRACT as TEST_CODE
from tiphys.manifest import template
from tiphys.workflow import given, started_by, workflow

NAME = "build-and-deploy"
DESCRIPTION = (
    "Fetches a git revision of the service itself, runs its unit tests in a clean environment, builds the images that "
    "changed, pushes them by digest, starts the gateway from its image where that is possible, and writes the digests into "
    "the release ledger for staging. One step, build-images, needs root: its annotation tiphys/needs-root says why."
)
PARAMETERS = [
    Parameter(
        name="repository",
        description="git repository, must be given: https://..., or a path that the steps see, as /home/me/tiphys",
    ),
    Parameter(name="revision", value="main", description="branch, tag, or all digits of a commit"),
    Parameter(
        name="images",
        value="all",
        description="images to build, with spaces: gateway ledger triton-agent; light; or all",
    ),
    Parameter(name="tests", value="tests/unit", description="folders or files of unit tests, with spaces"),
    Parameter(name="use-case", value="taxi_eta", description="use case whose question the gateway is asked"),
    started_by(),
]


def pipeline() -> WorkflowTemplate:
    """Render the DAG."""
    with (
        workflow(NAME, "Build and deploy the service", DESCRIPTION, PARAMETERS, within="4h", lock=NAME) as made,
        DAG(name="pipeline"),
    ):
        checkout = Task(
            name="checkout",
            template=template(CHECKOUT),
            arguments={"repository": given("repository"), "revision": given("revision")},
        )
        code = {"source": checkout.get_parameter("source"), "commit": checkout.get_parameter("commit")}
        test = Task(name="test-code", template=template(TEST_CODE), arguments={**code, "tests": given("tests")})
        build = Task(
            name="build-images", template=template(BUILD_IMAGES), arguments={**code, "images": given("images")}
        )
        deploy = Task(
            name="deploy-service",
            template=template(DEPLOY_SERVICE),
            arguments={
                "commit": code["commit"],
                "images": build.get_parameter("images"),
                "use-case": given("use-case"),
            },
        )
        for before, after in pairwise((checkout, test, build, deploy)):
            before.next(after)
    return made
