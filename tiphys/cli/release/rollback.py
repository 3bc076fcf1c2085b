"""`tiphys release rollback`: back to the release before, through the ledger, or without it at the agent."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tiphys.cli.release.access import BY_HAND, ENVIRONMENTS, add_way, asker, ledger, the_one

if TYPE_CHECKING:
    import argparse

    from tiphys.release.client import LedgerClient
    from tiphys.release.records import Recorded
    from tiphys.release.rollback import Asked
    from tiphys.serving.agent_client import AgentClient

_EXAMPLES = """examples:
  tiphys release rollback production
  tiphys release rollback production taxi_eta --reason "rides from the airport are 10 minutes off"
  tiphys release rollback canary          takes its traffic away; the model stays loaded
"""
_PATIENCE = 1.0
"""Seconds that the ledger is waited for before the agent is asked instead."""
_SERVED_SECONDS = 30.0


@dataclass
class _Done:
    """What a rollback did."""

    environment: str
    left: str
    serves: str
    through: str
    seconds: float = 0.0
    canary: str = ""
    warnings: list[str] = field(default_factory=list)


def add_parser(ways: Any) -> None:
    """Declare it."""
    about = "back to the release before: model, features and traffic; works while everything else is down"
    way = add_way(ways, "rollback", about, _EXAMPLES, main)
    way.add_argument("environment", choices=ENVIRONMENTS, metavar="ENV", help=", ".join(ENVIRONMENTS))
    way.add_argument("use_case", nargs="?", default="", metavar="USE_CASE", help="which, where it has more than one")
    way.add_argument("--reason", default="rolled back by hand", help="why; it stays in the ledger")


def main(arguments: argparse.Namespace) -> int:
    """Roll back, and print what happened.

    Raises:
        PermanentError: nothing served before, or the agent refuses.
        RetryableError: neither the ledger nor the agent answers.
    """
    from tiphys.errors import RetryableError
    from tiphys.release.rollback import Asked

    asked = Asked(asker(), BY_HAND, arguments.reason)
    started = time.monotonic()
    before = _page_if_there(arguments.environment)
    try:
        done, recorded = _through_ledger(arguments, asked)
    except RetryableError as error:
        done, recorded = _at_agent(arguments, asked, before), None
        done.warnings.append(f"{error}; the agent tells the ledger when it is back")
    done.seconds = round(time.monotonic() - started, 3)
    _print(done, as_json=arguments.json)
    if recorded is not None:
        _alias(recorded)
    return 0


def _through_ledger(arguments: argparse.Namespace, asked: Asked) -> tuple[_Done, Recorded]:
    from tiphys.errors import PermanentError
    from tiphys.release.rollback import roll_back, withdraw

    there = ledger(timeout=_PATIENCE, retries=0)
    where = arguments.environment
    use_case = the_one(there.current(where).releases, arguments.use_case, where)
    if where == "canary":
        ended = withdraw(there, use_case, asked)
        if ended is None:
            message = f"the canary of {use_case} has no traffic: nothing to take back"
            raise PermanentError(message)
        return _Done(where, ended.model_version, "no traffic", f"the ledger, generation {ended.generation}"), ended
    back = roll_back(there, where, use_case, asked)
    _wait(there, back.recorded)
    done = _Done(
        where,
        back.left.model_version,
        back.recorded.model_version,
        f"the ledger, generation {back.recorded.generation}",
    )
    if where == "production" and (ended := withdraw(there, use_case, asked)):
        done.canary = f"{ended.model_version} gets no traffic any more"
    return done, back.recorded


def _wait(there: LedgerClient, recorded: Recorded) -> None:
    """Wait for the agent's word, which stands on its own page too, should the ledger go away just now."""
    from tiphys.errors import RetryableError

    try:
        there.wait_until_served(recorded, _SERVED_SECONDS)
    except RetryableError:
        if _page(recorded.environment).get(recorded.model, {}).get("generation") != recorded.generation:
            raise


def _page(environment: str) -> dict[str, Any]:
    found: dict[str, Any] = _agent(environment, timeout=_PATIENCE).serving()["models"]
    return found


def _agent(environment: str, *, timeout: float = 10.0) -> AgentClient:
    from tiphys.cli.surroundings import settings
    from tiphys.serving.agent_client import AgentClient
    from tiphys.settings import AgentsSettings

    agents = settings(AgentsSettings)
    address, token = getattr(agents, environment), getattr(agents, f"{environment}_token")
    return AgentClient(address, token, timeout=timeout)


def _page_if_there(environment: str) -> dict[str, Any]:
    from tiphys.errors import TiphysError

    try:
        return _page(environment)
    except TiphysError:
        return {}


def _at_agent(arguments: argparse.Namespace, asked: Asked, before: dict[str, Any]) -> _Done:
    """Ask the agent to leave what it served at the start: what the ledger did before it went away is not done twice."""
    where = arguments.environment
    before = before or _page(where)
    models = {each["use_case"]: name for name, each in before.items()}
    use_case = the_one(models, arguments.use_case, where)
    model = models[use_case]
    now = _page(where)[model]
    if now["generation"] == before[model]["generation"]:
        _agent(where).roll_back(model, asked.by, asked.reason, now["generation"])
        now = _page(where)[model]
    serves = "no traffic" if where == "canary" else now["model_version"]
    done = _Done(where, before[model]["model_version"], serves, f"the agent of {where}")
    if where == "production":
        done.canary = _without_canary(use_case, asked, done.warnings)
    return done


def _without_canary(use_case: str, asked: Asked, warnings: list[str]) -> str:
    from tiphys.errors import TiphysError

    try:
        for model, each in _page("canary").items():
            if each["use_case"] == use_case and (each["share"] > 0 or each["shadow"] > 0):
                _agent("canary").roll_back(model, asked.by, asked.reason, each["generation"])
                return f"{each['model_version']} gets no traffic any more"
    except TiphysError as error:
        warnings.append(f"the canary may still have traffic: {error}")
    return ""


def _alias(recorded: Recorded) -> None:
    from tiphys.cli.surroundings import settings
    from tiphys.release import aliases
    from tiphys.settings import TrackingSettings

    if recorded.environment != "canary" and (warning := aliases.follow(recorded, settings(TrackingSettings))):
        print(f"warning: {warning}", file=sys.stderr)


def _print(done: _Done, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(done), indent=1), flush=True)
        return
    print(
        f"{done.environment} went back from {done.left} to {done.serves} in {done.seconds:.1f} s, through {done.through}"
    )
    if done.canary:
        print(f"  canary: {done.canary}")
    for each in done.warnings:
        print(f"  warning: {each}")
    when = ", when the ledger is back" if done.warnings else ""
    print(f"  why{when}: tiphys release why {done.environment}", flush=True)
