"""What a namespace must hold first, held against the manifests that will run there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiphys.cluster.prerequisites import documents
from tiphys.settings import PROJECT, StackSettings, variables
from tiphys.stack import config
from tiphys.stack.keys import ensure
from tiphys.step import contracts

pytestmark = pytest.mark.unit
RENDERED = [
    document
    for path in sorted((PROJECT / "workflows" / "rendered").glob("*.yaml"))
    for document in yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
]


def named(kind: str, given: dict[str, dict[str, str]] | None = None) -> dict[str, dict[str, Any]]:
    """The objects of a kind, by name."""
    found = documents("tiphys", contracts(), given or {})
    return {each["metadata"]["name"]: each for each in found if each["kind"] == kind}


def every(value: Any, key: str) -> Iterator[Any]:
    """Whatever stands under `key` anywhere in `value`."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        for each in value.values():
            yield from every(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from every(each, key)


def test_every_account_of_every_manifest_is_there() -> None:
    """Whatever account a manifest names is among the prerequisites."""
    wanted = set(every(RENDERED, "serviceAccountName"))
    assert wanted
    assert wanted <= set(named("ServiceAccount"))


def test_every_secret_and_config_map_of_every_manifest_is_there() -> None:
    """Whatever a step's environment comes from is among the prerequisites."""
    assert {each["name"] for each in every(RENDERED, "secretRef")} <= set(named("Secret"))
    assert {each["name"] for each in every(RENDERED, "configMapRef")} <= set(named("ConfigMap"))


def test_the_steps_have_no_token_and_no_role() -> None:
    """The account of the steps is bound to nothing, and its token is mounted nowhere."""
    assert named("ServiceAccount")["tiphys"]["automountServiceAccountToken"] is False
    bound = {subject["name"] for each in named("RoleBinding").values() for subject in each["subjects"]}
    assert bound == {"tiphys-executor", "tiphys-submitter"}


def test_no_role_names_a_wildcard_or_lets_anybody_read_all_secrets() -> None:
    """A role says what it is for; Secrets are readable by name only."""
    rules = [rule for each in named("Role").values() for rule in each["rules"]]
    assert not any("*" in word for rule in rules for part in rule.values() for word in part)
    assert all(rule.get("resourceNames") for rule in rules if "secrets" in rule["resources"])


def test_no_secret_variable_stands_in_the_config_map_and_no_address_in_a_secret() -> None:
    """Keys are in Secrets, addresses in the ConfigMap."""
    secret = {each.name for each in variables() if each.secret}
    assert not secret & set(named("ConfigMap")["tiphys"]["data"])
    for each in named("Secret").values():
        assert set(each.get("stringData", {})) <= secret


def test_a_component_gets_only_the_keys_that_its_contract_asks_for() -> None:
    """`deploy` talks to the ledger alone: no S3, no catalog, no Ray."""
    assert set(named("Secret")["tiphys-deploy"]["stringData"]) == {"TIPHYS_LEDGER_TOKEN"}


def test_what_a_step_is_told_on_a_laptop_it_is_told_on_a_cluster(tmp_path: Path) -> None:
    """The same keys for each, and every address: a step that runs here must not fail there for want of one."""
    settings = StackSettings(home=tmp_path, port_base=9000, java_home="")
    keys = ensure(tmp_path / "keys.json", contracts())
    told = config.secrets(settings, keys)
    for name in contracts():
        there = set(named("Secret")[f"tiphys-{name.replace('_', '-')}"].get("stringData", {}))
        assert there == set(told[name]), name
    only_ledger = {"TIPHYS_PASSPORT_PUBLIC_KEYS"}
    here = set(config.config_map(settings, keys)) - only_ledger
    assert here <= set(named("ConfigMap")["tiphys"]["data"])


def test_a_value_that_nobody_gave_says_what_belongs_there() -> None:
    """Every open end stands in angle brackets, so that `grep '<'` finds it."""
    assert named("ConfigMap")["tiphys"]["data"]["TIPHYS_S3_ENDPOINT"].startswith("<S3 server")
    assert named("Secret")["tiphys-ingest"]["stringData"]["TIPHYS_S3_SECRET_KEY"].startswith("<")


def test_given_values_are_filled_in() -> None:
    """What is known of the servers stands in the objects."""
    values = {"TIPHYS_S3_ENDPOINT": "http://127.0.0.1:1", "TIPHYS_S3_ACCESS_KEY": "a", "TIPHYS_S3_SECRET_KEY": "b"}
    maps = named("ConfigMap", {"engine": values})
    assert maps["tiphys"]["data"]["TIPHYS_S3_ENDPOINT"] == "http://127.0.0.1:1"
    repository = yaml.safe_load(maps["artifact-repositories"]["data"]["tiphys"])["s3"]
    assert repository["endpoint"] == "127.0.0.1:1"
    assert repository["insecure"] is True


def test_everything_but_the_namespace_itself_is_in_the_namespace() -> None:
    """Nothing lands elsewhere, whatever namespace kubectl stands in."""
    found = documents("other", contracts(), {})
    assert {each["metadata"].get("namespace") for each in found[1:]} == {"other"}
    assert found[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
