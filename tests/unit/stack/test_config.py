"""What steps are told: addresses for all, and to each only its own credentials."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tiphys import settings
from tiphys.release.tokens import Tokens
from tiphys.settings import StackSettings
from tiphys.stack import config, keys
from tiphys.stack.servers import seaweedfs
from tiphys.step import Access, Contract, StepInputs, StepOutputs
from tiphys.watch import webhooks
from tiphys.watch.governor import senders as governor
from tiphys.watch.governor.senders import Secrets, Sender

pytestmark = pytest.mark.unit


@pytest.fixture
def laptop(tmp_path: Path) -> StackSettings:
    """Settings of a stack that is never started."""
    return StackSettings(home=tmp_path, port_base=7400, java_home="")


@pytest.fixture
def made(tmp_path: Path) -> keys.Keys:
    """Keys for two components with different needs."""
    needs = {
        "etl": Access(read=("raw",), write=("lake",), catalog="write"),
        "deploy": Access(ledger="staging"),
        "monitor": Access(governor="alert"),
        "train": Access(read=("lake",), catalog="read", ray=True),
        "simulate": Access(gateway="rider", audits=True),
    }
    contracts = {name: Contract(name, "", StepInputs, StepOutputs, "pure", access) for name, access in needs.items()}
    return keys.ensure(tmp_path / "keys.json", contracts)


def test_the_config_map_has_what_steps_read(laptop: StackSettings, made: keys.Keys) -> None:
    """Every key is a variable of the settings, none is a secret, and every group loads from map and Secret."""
    told = config.config_map(laptop, made)
    known = {each.name: each for each in settings.variables()}
    assert set(told) <= set(known)
    assert not [name for name in told if known[name].secret]
    settings.load(settings.ServingSettings, told)
    settings.load(settings.TrackingSettings, told)
    settings.load(settings.AgentsSettings, told)
    settings.load(settings.TrustSettings, told)


@pytest.mark.parametrize(
    ("component", "variables"),
    [
        ("etl", {"TIPHYS_S3_ACCESS_KEY", "TIPHYS_S3_SECRET_KEY", "TIPHYS_CATALOG_USER", "TIPHYS_CATALOG_PASSWORD"}),
        ("deploy", {"TIPHYS_LEDGER_TOKEN"}),
        ("monitor", {"TIPHYS_GOVERNOR_TOKEN", "TIPHYS_WEBHOOK_SECRET"}),
        ("alertmanager", {"TIPHYS_GOVERNOR_TOKEN"}),
        (
            "gateway",
            {
                "TIPHYS_S3_ACCESS_KEY",
                "TIPHYS_S3_SECRET_KEY",
                "TIPHYS_GATEWAY_KEYS",
                "TIPHYS_ADMIN_TOKEN",
            },
        ),
        (
            "agent_canary",
            {"TIPHYS_S3_ACCESS_KEY", "TIPHYS_S3_SECRET_KEY", "TIPHYS_LEDGER_TOKEN", "TIPHYS_ADMIN_TOKEN"},
        ),
        ("rider", {"TIPHYS_GATEWAY_KEY"}),
        ("auditor", {"TIPHYS_GATEWAY_KEY"}),
        ("simulate", {"TIPHYS_GATEWAY_KEY", "TIPHYS_AUDITOR_KEY"}),
    ],
)
def test_a_secret_has_the_least(laptop: StackSettings, made: keys.Keys, component: str, variables: set[str]) -> None:
    """Nobody gets a credential that it did not ask for."""
    assert set(config.secrets(laptop, made)[component]) == variables


def test_a_registry_is_told_to_those_who_use_it(laptop: StackSettings, tmp_path: Path) -> None:
    """Its address to all, its login to the step that pushes and the agent that fetches; nothing of it where there is none."""
    told = settings.RegistrySettings("registry.example.org/team", '{"auths": {}}', "")
    registry = keys.Registry.of(told, settings.PackageSettings("registry.example.org/triton@sha256:" + "a" * 64))
    needs = {
        "package": Contract("package", "", StepInputs, StepOutputs, "external", Access(registry="push")),
        "etl": Contract("etl", "", StepInputs, StepOutputs, "external", Access(read=("raw",))),
    }
    made = keys.ensure(tmp_path / "registry.json", needs, registry)
    shown = config.config_map(laptop, made)
    assert shown["TIPHYS_REGISTRY"] == "registry.example.org/team"
    assert "TIPHYS_REGISTRY_AUTH" not in shown
    holders = [name for name, each in config.secrets(laptop, made).items() if "TIPHYS_REGISTRY_AUTH" in each]
    assert holders == ["agent_canary", "agent_production", "agent_staging", "cache", "cli", "package"]
    lent = keys.ensure(tmp_path / "registry.json", needs, outside={"PIP_INDEX_URL": "https://x"})
    assert not [name for name, each in config.secrets(laptop, lent).items() if "PIP_INDEX_URL" in each]
    assert not [
        name for name in config.config_map(laptop, keys.ensure(tmp_path / "none.json", needs)) if "REGISTRY" in name
    ]


def test_reader_and_writer_are_different_roles(laptop: StackSettings, made: keys.Keys) -> None:
    """A component that only reads the catalog cannot log in as one that writes."""
    told = config.secrets(laptop, made)
    assert told["etl"]["TIPHYS_CATALOG_USER"] == "lake_write"
    assert told["train"]["TIPHYS_CATALOG_USER"] == "lake_read"
    assert told["etl"]["TIPHYS_CATALOG_PASSWORD"] != told["train"]["TIPHYS_CATALOG_PASSWORD"]


def test_the_ledger_knows_every_token_with_its_role(laptop: StackSettings, made: keys.Keys) -> None:
    """Who has no level has no token there."""
    told = config.secrets(laptop, made)
    tokens = json.loads(told["ledger"]["TIPHYS_LEDGER_TOKENS"])
    assert tokens[told["deploy"]["TIPHYS_LEDGER_TOKEN"]] == "staging"
    assert tokens[told["agent_staging"]["TIPHYS_LEDGER_TOKEN"]] == "agent:staging"
    assert sorted(tokens.values()) == [
        "agent:canary", "agent:production", "agent:staging", "production", "read", "staging",
    ]  # fmt: skip
    Tokens(told["ledger"]["TIPHYS_LEDGER_TOKENS"])


def test_the_auditor_is_known_by_its_role_at_the_gateway(laptop: StackSettings, made: keys.Keys) -> None:
    """Who lends its key to a step lends no other: the step's own is a rider's."""
    told = config.secrets(laptop, made)
    known = json.loads(told["gateway"]["TIPHYS_GATEWAY_KEYS"])
    asks, audits = (
        known[hashlib.sha256(told["simulate"][name].encode()).hexdigest()]
        for name in ("TIPHYS_GATEWAY_KEY", "TIPHYS_AUDITOR_KEY")
    )
    assert (asks, audits) == ({"name": "simulate", "role": "rider"}, {"name": "auditor", "role": "auditor"})
    assert told["auditor"]["TIPHYS_GATEWAY_KEY"] == told["simulate"]["TIPHYS_AUDITOR_KEY"]


def test_nobody_can_move_the_agent_of_another_environment(laptop: StackSettings, made: keys.Keys) -> None:
    """Each agent has a token of its own, which only the person at the command line knows too; the gateway's is another."""
    told = config.secrets(laptop, made)
    tokens = {name: told[name]["TIPHYS_ADMIN_TOKEN"] for name in ("agent_staging", "agent_canary", "agent_production")}
    assert len({*tokens.values(), told["gateway"]["TIPHYS_ADMIN_TOKEN"]}) == 4
    for name, token in tokens.items():
        assert {holder for holder, each in told.items() if token in each.values()} == {name, "cli"}
        assert told["cli"][f"TIPHYS_{name.removeprefix('agent_').upper()}_AGENT_TOKEN"] == token
        assert token in made.values()
    assert told["cli"]["TIPHYS_ADMIN_TOKEN"] == told["gateway"]["TIPHYS_ADMIN_TOKEN"]


def test_documents_are_what_kubectl_takes(laptop: StackSettings, made: keys.Keys) -> None:
    """One ConfigMap, a Secret for each name in kebab-case, every value a text."""
    listed = config.documents(config.config_map(laptop, made), config.secrets(laptop, made))
    assert [each["metadata"]["name"] for each in listed if each["kind"] == "ConfigMap"] == ["tiphys"]
    assert "tiphys-etl" in {each["metadata"]["name"] for each in listed if each["kind"] == "Secret"}
    for each in listed:
        assert all(isinstance(value, str) for value in {**each.get("data", {}), **each.get("stringData", {})}.values())


def test_spark_gets_the_jars_that_are_there(laptop: StackSettings) -> None:
    """Only when they were installed; in one line that Spark splits at commas."""
    assert "spark.jars " not in config.spark_conf(laptop)
    (laptop.home / "jars").mkdir()
    for name in ("b.jar", "a.jar", "notes.txt"):
        (laptop.home / "jars" / name).touch()
    assert f"spark.jars {laptop.home}/jars/a.jar,{laptop.home}/jars/b.jar\n" in config.spark_conf(laptop)


def test_s3_identities_have_buckets_in_every_action(made: keys.Keys) -> None:
    """Only the administrator has actions without a bucket; who needs no bucket has no identity."""
    listed = seaweedfs.identities(made)["identities"]
    actions = {each["name"]: each["actions"] for each in listed}
    assert all(":" in action for name, each in actions.items() if name != "tiphys-admin" for action in each)  # type: ignore[attr-defined]
    assert actions["etl"] == ["Read:lake", "List:lake", "Read:raw", "List:raw", "Write:lake", "Tagging:lake"]
    assert {"Read:features", "Write:landing"} <= set(actions["gateway"])
    assert {each.partition(":")[2] for each in actions["gateway"]} == {"features", "landing"}
    assert "Write:features" not in actions["gateway"]
    assert "ledger" not in actions
    assert "deploy" not in actions


def test_the_governor_knows_every_sender_and_what_it_may_send(laptop: StackSettings, made: keys.Keys) -> None:
    """A person's events are signed by the command line's secret; Alertmanager's token is for nothing else."""
    told = config.secrets(laptop, made)
    senders, tokens = (
        Secrets(told["governor"]["TIPHYS_WEBHOOK_SECRETS"]),
        governor.Tokens(told["governor"]["TIPHYS_GOVERNOR_TOKENS"]),
    )
    for name, trigger in (("monitor", "alert"), ("cli", "person")):
        signed = webhooks.sign(told[name]["TIPHYS_WEBHOOK_SECRET"], "id", 1, b"{}")
        assert senders.sender("id", "1", b"{}", signed[webhooks.SIGNATURE]) == Sender(name, trigger)  # type: ignore[arg-type]
        assert tokens.role(f"Bearer {told[name]['TIPHYS_GOVERNOR_TOKEN']}") == "read"
    assert tokens.role(f"Bearer {told['alertmanager']['TIPHYS_GOVERNOR_TOKEN']}") == "alertmanager"
    assert told["governor"]["TIPHYS_ARGO_TOKEN"] == made.api_tokens["trigger"] != made.api_tokens["admin"]
