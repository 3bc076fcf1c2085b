"""PostgreSQL keeps the three databases apart, and readers from writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from tiphys.stack import keys
from tiphys.stack.layout import Layout
from tiphys.stack.ports import Ports

if TYPE_CHECKING:
    from tests.e2e.conftest import Stack

pytestmark = pytest.mark.e2e


def connect(
    stack: Stack, role: str, database: str, password: str | None = None
) -> psycopg.Connection[tuple[object, ...]]:
    """Connect as that role."""
    known = keys.read(Layout.of(stack.settings).secrets / "keys.json").passwords[role]
    port = Ports(stack.settings.port_base)["postgres"]
    return psycopg.connect(
        host="127.0.0.1", port=port, user=role, password=password or known, dbname=database, autocommit=True
    )


def test_a_reader_reads_what_the_writer_makes_and_cannot_change_it(stack: Stack) -> None:
    """The catalog's reader sees tables that were made after it, and may only select."""
    with connect(stack, "lake_write", "lake") as writer:
        writer.execute("create table tried (n int)")
        writer.execute("insert into tried values (7)")
    try:
        with connect(stack, "lake_read", "lake") as reader:
            assert reader.execute("select n from tried").fetchall() == [(7,)]
            for statement in ("insert into tried values (8)", "drop table tried", "create table other (n int)"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(statement)
    finally:
        with connect(stack, "lake_write", "lake") as writer:
            writer.execute("drop table tried")


@pytest.mark.parametrize(("role", "database"), [("lake_read", "ledger"), ("mlflow", "lake"), ("ledger", "mlflow")])
def test_a_role_enters_its_own_database_only(stack: Stack, role: str, database: str) -> None:
    """A leaked password opens one database."""
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(stack, role, database)


def test_a_wrong_password_is_refused(stack: Stack) -> None:
    """Loopback is no reason to trust."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(stack, "ledger", "ledger", "guessed")
