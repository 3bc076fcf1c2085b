"""The stack's secrets and who may do what with them; made once, kept in one file that only its owner reads.

It knows contracts (what a component needs) and no server: S3's identities, database roles and Secrets are
computed from what stands here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tiphys.errors import PermanentError
from tiphys.release import signing
from tiphys.release.records import ENVIRONMENTS
from tiphys.settings import PackageSettings, RegistrySettings
from tiphys.step import Access, Contract

Level = Literal[
    "", "read", "evidence", "staging", "canary", "production", "agent:staging", "agent:canary", "agent:production"
]
"""What a principal's token is good for at the ledger, as ``tiphys/release/tokens.py`` reads it."""
AtGateway = Literal["", "rider", "auditor", "tester", "admin"]
"""``rider`` asks production as a user does, what an ``auditor`` feeds back is trusted, ``tester`` asks any environment, ``admin`` may also use the admin ports."""
BUCKETS = ("landing", "raw", "lake", "checkpoints", "mlflow", "models", "monitor", "features", "artifacts")
API_ROLES = ("admin", "events", "trigger")
"""At the engine's API: who may do all, who may only hand in events, and who may look at runs, too."""
AUDITOR = "auditor"
"""Name of the API key whose outcomes are trusted."""
DATABASE_ROLES = ("postgres", "lake_write", "lake_read", "mlflow", "ledger", "governor")


class Principal(BaseModel):
    """One who calls servers: a component or a service, with its own keys and the least that it needs."""

    model_config = ConfigDict(frozen=True)

    access_key: str
    secret_key: str
    ledger_token: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    catalog: Literal["", "read", "write"] = ""
    ray: bool = False
    ledger: str = ""
    """A :data:`Level`, or one of before, which is replaced when the keys are completed."""
    registry: Literal["", "pull", "push"] = ""
    gateway: AtGateway = ""
    gateway_key: str = ""
    """Its API key; none of a principal that asks no model."""
    audits: bool = False
    """Whether it also holds the auditor's API key."""
    governor: Literal["", "alert", "schedule", "person", "alertmanager", "claim"] = ""
    governor_token: str = ""
    webhook_secret: str = ""
    """What its events are signed with; none of a principal that sends none."""
    signs: bool = False
    """Whether it holds the key that passports are signed with."""
    outside: bool = False


class Registry(BaseModel):
    """The registry of images that the laptop was told of when its servers were started, if any."""

    model_config = ConfigDict(frozen=True)

    registry: str = ""
    auth: str = ""
    plain_http: str = ""
    triton_image: str = ""

    @classmethod
    def of(cls, registry: RegistrySettings, package: PackageSettings) -> Registry:
        """Take it from the settings."""
        return cls(
            registry=registry.registry,
            auth=registry.auth,
            plain_http=registry.plain_http if registry.registry else "",
            triton_image=package.triton_image,
        )


class Keys(BaseModel):
    """Everything secret of one stack."""

    model_config = ConfigDict(frozen=True)

    principals: dict[str, Principal]
    passwords: dict[str, str]
    ray_token: str
    admin_access_key: str
    admin_secret_key: str
    signing_key: str
    passport_key: str = ""
    """The private half of the Ed25519 key of passports: its seed, in hex."""
    passport_public_key: str = ""
    admin_token: str = ""
    """For the admin port of the gateway."""
    agent_tokens: dict[str, str] = {}
    """For a rollback at the agent of each environment: who has one can move no other."""
    api_tokens: dict[str, str] = {}
    """The bearer token of each role at the engine's API."""
    registry: Registry = Registry()
    outside: dict[str, str] = {}
    """What the starter's environment said of proxies, certificates, indexes: for steps that reach out."""

    def values(self) -> frozenset[str]:
        """Every secret text in here; to look for, never to show."""
        keys = (
            key
            for each in self.principals.values()
            for key in (
                each.access_key,
                each.secret_key,
                each.ledger_token,
                each.gateway_key,
                each.governor_token,
                each.webhook_secret,
            )
            if key
        )
        admin = (
            self.ray_token, self.admin_access_key, self.admin_secret_key, self.signing_key, self.passport_key,
            self.admin_token,
        )  # fmt: skip
        login = (self.registry.auth,) if self.registry.auth else ()
        tokens = (*self.api_tokens.values(), *self.agent_tokens.values())
        return frozenset((*keys, *self.passwords.values(), *tokens, *admin, *login))

    def digest(self) -> str:
        """Changes whenever anything in here does; not with the order, which is the shell's for what comes from there."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:16]


SERVICES: dict[str, tuple[Access, Level]] = {
    "cli": (
        Access(
            read=("landing", "models"),
            write=("landing",),
            gateway="admin",
            governor="person",
            signs=True,
            registry="pull",
        ),
        "production",
    ),
    "rider": (Access(gateway="rider"), ""),
    AUDITOR: (Access(gateway="auditor"), ""),
    "cache": (
        Access(read=("landing", "raw", "lake", "checkpoints", "models"), catalog="read", registry="pull"),
        "read",
    ),
    "engine": (Access(read=("artifacts",), write=("artifacts",)), ""),
    "mlflow": (Access(read=("mlflow",), write=("mlflow",)), ""),
    "agent_staging": (Access(read=("models",), registry="pull"), "agent:staging"),
    "agent_canary": (Access(read=("models",), registry="pull"), "agent:canary"),
    "agent_production": (Access(read=("models",), registry="pull"), "agent:production"),
    "gateway": (Access(read=("features",), write=("landing",)), ""),
    "ledger": (Access(), ""),
    "governor": (Access(), ""),
    "alertmanager": (Access(governor="alertmanager"), ""),
}
"""Who calls servers without being a component; the cli promotes and rolls back for a person, the rider is any user, the
auditor the operator's own meters."""


def ensure(
    path: Path,
    contracts: Mapping[str, Contract],
    registry: Registry | None = None,
    outside: Mapping[str, str] | None = None,
) -> Keys:
    """Read the keys, make those that are missing, and write them back if anything changed.

    A contract that appeared gets its keys, one that changed its rights, one that went loses them; all others keep theirs.
    Registry and surroundings stay what they were unless others are given.

    Raises:
        PermanentError: the file is not one of ours.
    """
    old = read(path) if path.exists() else None
    keys = _complete(old, contracts)
    given = {"registry": registry, "outside": None if outside is None else dict(outside)}
    keys = keys.model_copy(update={name: value for name, value in given.items() if value is not None})
    if keys != old:
        write_private(path, keys.model_dump_json(indent=1))
    return keys


def read(path: Path) -> Keys:
    """Read the keys from their file.

    Raises:
        PermanentError: the file is not one of ours.
    """
    try:
        return Keys.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = (
            f"the keys in {path} cannot be read ({type(error).__name__}): move the folder {path.parent.parent} away"
        )
        raise PermanentError(message) from None


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    partial = path.with_name(path.name + ".part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _complete(old: Keys | None, contracts: Mapping[str, Contract]) -> Keys:
    wanted: dict[str, tuple[Access, Level]] = {
        name: (each.access, each.access.ledger) for name, each in contracts.items()
    }
    wanted |= SERVICES
    had = old.principals if old else {}
    passwords = old.passwords if old else {}
    seed = (old.passport_key if old else "") or secrets.token_hex(32)
    return Keys(
        passport_key=seed,
        passport_public_key=(old.passport_public_key if old else "") or signing.public_key(seed),
        admin_token=(old.admin_token if old else "") or secrets.token_hex(24),
        agent_tokens={
            environment: (old.agent_tokens if old else {}).get(environment) or secrets.token_hex(24)
            for environment in ENVIRONMENTS
        },
        principals={name: _principal(had.get(name), *each) for name, each in sorted(wanted.items())},
        passwords={role: passwords.get(role) or secrets.token_hex(20) for role in DATABASE_ROLES},
        ray_token=old.ray_token if old else secrets.token_hex(32),
        admin_access_key=old.admin_access_key if old else _access_key(),
        admin_secret_key=old.admin_secret_key if old else secrets.token_hex(20),
        signing_key=old.signing_key if old else secrets.token_hex(32),
        api_tokens={role: (old.api_tokens if old else {}).get(role) or secrets.token_hex(32) for role in API_ROLES},
        registry=old.registry if old else Registry(),
        outside=old.outside if old else {},
    )


def _principal(old: Principal | None, access: Access, ledger: Level) -> Principal:
    return Principal(
        access_key=old.access_key if old else _access_key(),
        secret_key=old.secret_key if old else secrets.token_hex(20),
        ledger_token=old.ledger_token if old else secrets.token_hex(24),
        read=access.read,
        write=access.write,
        catalog=access.catalog,
        ray=access.ray,
        ledger=ledger,
        registry=access.registry,
        gateway=access.gateway,
        gateway_key=((old.gateway_key if old else "") or secrets.token_urlsafe(24)) if access.gateway else "",
        audits=access.audits,
        governor=access.governor,
        governor_token=((old.governor_token if old else "") or secrets.token_hex(24)) if access.governor else "",
        webhook_secret=((old.webhook_secret if old else "") or _webhook_secret()) if _sends(access) else "",
        signs=access.signs,
        outside=access.outside,
    )


def _sends(access: Access) -> bool:
    return access.governor in {"alert", "schedule", "person"}


def _webhook_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _access_key() -> str:
    return "TK" + secrets.token_hex(9).upper()
