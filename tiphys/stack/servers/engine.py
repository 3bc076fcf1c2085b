"""The engine that drives all runs, with Argo's API: `tiphys serve`, supervised."""

from __future__ import annotations

from tiphys.settings import EngineSettings, load
from tiphys.stack import probes
from tiphys.stack.spec import Command, Plan, Server


def server(plan: Plan, after: tuple[str, ...]) -> Server:
    """The engine; runs that were interrupted go on at once, so it starts when the servers that steps need are there."""
    address, home = plan.ports.address("engine"), plan.layout.data("engine")
    settings = plan.settings
    environment = plan.environment("engine") | {
        "TIPHYS_HOME": str(settings.home),
        "TIPHYS_PORT_BASE": str(settings.port_base),
        "TIPHYS_ARTIFACTS": load(EngineSettings).artifacts,
        "JAVA_HOME": settings.java_home,
    }
    environment["PATH"] += ":/usr/sbin:/sbin"  # of tools for containers

    async def prepare(_run: object) -> None:
        home.mkdir(mode=0o700, exist_ok=True)

    return Server(
        name="engine",
        command=Command(plan.python("-m", "tiphys", "serve"), environment, settings.project),
        address=address,
        alive=lambda: probes.http_ok(address, "/healthz"),
        after=after,
        prepare=prepare,
    )
