"""Our own services: the release ledger, an agent beside each Triton, and the gateway."""

from __future__ import annotations

from tiphys.stack import config, probes
from tiphys.stack.spec import Command, Plan, Run, Server


def servers(plan: Plan) -> tuple[Server, ...]:
    """The services in the order of their needs."""
    return (
        _server(
            plan,
            "ledger",
            "ledger",
            ("-m", "tiphys.release.ledger"),
            after=("postgres",),
            TIPHYS_LEDGER_PORT=str(plan.ports["ledger"]),
        ),
        _agent(plan, "staging"),
        _agent(plan, "production"),
        _server(
            plan,
            "gateway",
            "gateway",
            ("-m", "tiphys.serving.gateway"),
            TIPHYS_GATEWAY_PORT=str(plan.ports["gateway"]),
        ),
    )


def _agent(plan: Plan, environment: str) -> Server:
    name = f"agent-{environment}"
    extra = {
        "TIPHYS_AGENT_ENVIRONMENT": environment,
        "TIPHYS_AGENT_STATE": str(plan.layout.data(name)),
        "TIPHYS_AGENT_PORT": str(plan.ports[f"{environment}_agent"]),
        "TIPHYS_AGENT_REPOSITORY": str(plan.layout.data(f"triton-{environment}") / "models"),
    }
    argv = ("-m", "tiphys.serving.agent", "--environment", environment)
    return _server(plan, name, f"{environment}_agent", argv, principal="agent", after=("s3",), **extra)


def _server(
    plan: Plan,
    name: str,
    port: str,
    argv: tuple[str, ...],
    principal: str = "",
    after: tuple[str, ...] = (),
    **extra: str,
) -> Server:
    address = plan.ports.address(port)
    secret = config.secrets(plan.settings, plan.keys)[principal or name]
    environment = plan.environment(name, **config.config_map(plan.settings), **secret, **extra)
    home = plan.layout.data(name)

    async def prepare(_run: Run) -> None:
        home.mkdir(mode=0o700, exist_ok=True)

    return Server(
        name=name,
        command=Command(plan.python(*argv), environment, home),
        address=address,
        alive=lambda: probes.http_ok(address, "/healthz"),
        after=after,
        prepare=prepare,
    )
