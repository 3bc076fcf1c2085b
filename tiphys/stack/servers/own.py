"""Our own services: the release ledger, an agent beside each Triton, the gateway, and the governor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tiphys.release.records import ENVIRONMENTS
from tiphys.settings import PaceSettings, load
from tiphys.stack import config, probes
from tiphys.stack.spec import Command, Plan, Run, Server


@dataclass(frozen=True)
class _Service:
    name: str
    module: str
    port: str
    principal: str
    after: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def servers(plan: Plan) -> tuple[Server, ...]:
    """The services in the order of their needs."""
    port = {"TIPHYS_LEDGER_PORT": str(plan.ports["ledger"])}
    ledger = _Service("ledger", "tiphys.release.ledger", "ledger", "ledger", after=("postgres",), environment=port)
    port = {
        "TIPHYS_GOVERNOR_PORT": str(plan.ports["governor"]),
        "TIPHYS_ARGO_SERVER": plan.ports.url("engine"),
        "TIPHYS_ARGO_NAMESPACE": "default",
        "TIPHYS_GOVERNOR_SPEED": str(load(PaceSettings).speed),
    }
    governor = _Service(
        "governor", "tiphys.watch.governor", "governor", "governor", after=("postgres",), environment=port
    )
    port = {
        "TIPHYS_GATEWAY_PORT": str(plan.ports["gateway"]),
        "TIPHYS_GATEWAY_GRPC_PORT": str(plan.ports["gateway_grpc"]),
        "TIPHYS_GATEWAY_ADMIN_PORT": str(plan.ports["gateway_admin"]),
        "TIPHYS_GATEWAY_STATE": str(plan.layout.data("gateway") / "state"),
    }
    gateway = _Service("gateway", "tiphys.serving.gateway", "gateway", "gateway", environment=port)
    agents = (_agent(plan, environment) for environment in ENVIRONMENTS)
    return tuple(_server(plan, each) for each in (ledger, *agents, gateway, governor))


def _agent(plan: Plan, environment: str) -> _Service:
    name, port = f"agent-{environment}", f"{environment}_agent"
    return _Service(
        name,
        "tiphys.serving.agent",
        port,
        f"agent_{environment}",
        after=("s3",),
        arguments=("--environment", environment),
        environment={
            "TIPHYS_AGENT_ENVIRONMENT": environment,
            "TIPHYS_AGENT_STATE": str(plan.layout.data(name)),
            "TIPHYS_AGENT_PORT": str(plan.ports[port]),
            "TIPHYS_AGENT_REPOSITORY": str(plan.layout.data(f"triton-{environment}") / "models"),
        },
    )


def _server(plan: Plan, service: _Service) -> Server:
    address = plan.ports.address(service.port)
    secret = config.secrets(plan.settings, plan.keys)[service.principal]
    told = {**config.config_map(plan.settings, plan.keys), **secret, **service.environment}
    home = plan.layout.data(service.name)

    async def prepare(_run: Run) -> None:
        home.mkdir(mode=0o700, exist_ok=True)

    argv = plan.python("-m", service.module, *service.arguments)
    return Server(
        name=service.name,
        command=Command(argv, plan.environment(service.name, **told), home),
        address=address,
        alive=lambda: probes.http_ok(address, "/healthz"),
        after=service.after,
        prepare=prepare,
    )
