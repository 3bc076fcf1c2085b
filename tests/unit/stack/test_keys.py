"""Who gets which keys, and that nobody loses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiphys.errors import PermanentError
from tiphys.stack import keys
from tiphys.step import Access, Contract, StepInputs, StepOutputs

pytestmark = pytest.mark.unit


def contract(name: str, access: Access) -> dict[str, Contract]:
    """A contract that needs that access, by its name."""
    return {name: Contract(name, "does", StepInputs, StepOutputs, effects="pure", access=access)}


def test_keys_are_made_once(tmp_path: Path) -> None:
    """The second start finds the first one's."""
    contracts = contract("etl", Access(read=("raw",), catalog="write"))
    assert keys.ensure(tmp_path / "keys.json", contracts) == keys.ensure(tmp_path / "keys.json", contracts)


def test_the_order_of_a_shell_s_variables_is_no_other_key(tmp_path: Path) -> None:
    """Another shell names the same in another order: the servers that run know the keys all the same."""
    path = tmp_path / "keys.json"
    first = keys.ensure(path, {}, outside={"PIP_INDEX_URL": "a", "SSL_CERT_FILE": "b"})
    again = keys.ensure(path, {}, outside={"SSL_CERT_FILE": "b", "PIP_INDEX_URL": "a"})
    assert again.digest() == first.digest() == keys.read(path).digest()


def test_two_stacks_share_no_key(tmp_path: Path) -> None:
    """Nothing is fixed in the code."""
    one, other = (keys.ensure(tmp_path / name, {}) for name in ("one.json", "other.json"))
    assert not set(one.passwords.values()) & set(other.passwords.values())
    assert one.principals["cli"].secret_key != other.principals["cli"].secret_key
    assert one.ray_token != other.ray_token


def test_only_the_owner_reads_them(tmp_path: Path) -> None:
    """The file is 0600 from its first byte on."""
    keys.ensure(tmp_path / "keys.json", {})
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_a_new_contract_leaves_the_others_alone(tmp_path: Path) -> None:
    """It gets keys; everybody else keeps theirs, and the digest tells that something changed."""
    old = keys.ensure(tmp_path / "keys.json", contract("etl", Access(read=("raw",))))
    both = contract("etl", Access(read=("raw",))) | contract("train", Access(ray=True))
    new = keys.ensure(tmp_path / "keys.json", both)
    assert {name: new.principals[name] for name in old.principals} == old.principals
    assert new.principals["train"].ray
    assert new.digest() != old.digest()


def test_a_contract_that_needs_more_keeps_its_key(tmp_path: Path) -> None:
    """Its rights change, its name and secret do not."""
    old = keys.ensure(tmp_path / "keys.json", contract("etl", Access(read=("raw",)))).principals["etl"]
    new = keys.ensure(tmp_path / "keys.json", contract("etl", Access(read=("raw",), write=("lake",)))).principals["etl"]
    assert (new.access_key, new.secret_key) == (old.access_key, old.secret_key)
    assert new.write == ("lake",)


def test_levels_of_before_are_replaced(tmp_path: Path) -> None:
    """Keys that were made when all agents had one token are taken over; that one's rights go with its name."""
    path = tmp_path / "keys.json"
    old = keys.ensure(path, {})
    text = json.loads(path.read_text())
    text["principals"]["agent"] = text["principals"].pop("agent_staging") | {"ledger": "agent"}
    path.write_text(json.dumps(text))
    new = keys.ensure(path, {})
    assert "agent" not in new.principals
    assert new.principals["agent_staging"].ledger == "agent:staging"
    assert new.principals["agent_staging"].ledger_token != old.principals["agent_staging"].ledger_token
    assert new.principals["cli"] == old.principals["cli"]


def test_a_registry_stays_until_another_is_given(tmp_path: Path) -> None:
    """A start of the servers says which; everything else that reads the keys leaves it alone."""
    first = keys.ensure(tmp_path / "keys.json", {}, keys.Registry(registry="one.example.org/team"))
    assert keys.ensure(tmp_path / "keys.json", {}) == first
    lent = keys.ensure(tmp_path / "keys.json", {}, outside={"HTTPS_PROXY": "http://proxy.example.org"})
    assert (lent.registry, lent.outside) == (first.registry, {"HTTPS_PROXY": "http://proxy.example.org"})
    none = keys.ensure(tmp_path / "keys.json", {}, keys.Registry())
    assert none.registry.registry == ""
    assert none.digest() != first.digest()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """It is neither overwritten nor a traceback."""
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(PermanentError, match=r"keys\.json cannot be read"):
        keys.ensure(tmp_path / "keys.json", {})
    assert (tmp_path / "keys.json").read_text() == "{"
