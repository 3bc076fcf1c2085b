"""The only reader of the environment: every variable that Tiphys knows, in groups, each with its meaning.

On a cluster the addresses come from the ConfigMap ``tiphys`` and the credentials from the Secret
``tiphys-<component>``; on the laptop ``tiphys up`` makes both. A component asks for the groups that it needs::

    s3 = load(S3Settings)

``variables()`` lists them all; the reference page is made from it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tiphys.errors import SettingsError

_REQUIRED = "\0required"
PROJECT = Path(__file__).resolve().parent.parent

Group = TypeVar("Group")


def _setting(name: str, meaning: str, default: str = _REQUIRED, *, secret: bool = False) -> Any:
    """Declare one variable: its name, what it means, its default, whether its value must never be shown."""
    return field(metadata={"name": name, "meaning": meaning, "default": default, "secret": secret}, repr=not secret)


@dataclass(frozen=True)
class S3Settings:
    """Where the bytes are."""

    endpoint: str = _setting("TIPHYS_S3_ENDPOINT", "S3 server, as a URL: http://HOST:PORT")
    access_key: str = _setting("TIPHYS_S3_ACCESS_KEY", "this component's S3 key id", secret=True)
    secret_key: str = _setting("TIPHYS_S3_SECRET_KEY", "this component's S3 secret key", secret=True)
    region: str = _setting("TIPHYS_S3_REGION", "S3 region that requests are signed for", "us-east-1")


@dataclass(frozen=True)
class CatalogSettings:
    """Where the Iceberg catalog is."""

    url: str = _setting("TIPHYS_CATALOG_URL", "catalog database: postgresql://HOST:PORT/DATABASE")
    user: str = _setting("TIPHYS_CATALOG_USER", "this component's role in the catalog database", secret=True)
    password: str = _setting("TIPHYS_CATALOG_PASSWORD", "that role's password", secret=True)
    warehouse: str = _setting("TIPHYS_WAREHOUSE", "where tables live: s3://BUCKET/PREFIX", "s3://lake/warehouse")


@dataclass(frozen=True)
class SparkSettings:
    """How Spark runs."""

    conf: str = _setting("TIPHYS_SPARK_CONF", "Spark's settings in the form of spark-defaults.conf, many lines", "")
    secret_conf: str = _setting(
        "TIPHYS_SPARK_SECRET_CONF",
        "more of Spark's settings, those whose values are secret, in the same form",
        "",
        secret=True,
    )


@dataclass(frozen=True)
class TrackingSettings:
    """Where MLflow is."""

    url: str = _setting("TIPHYS_MLFLOW_URL", "MLflow server: http://HOST:PORT")


@dataclass(frozen=True)
class RaySettings:
    """Where Ray is."""

    url: str = _setting("TIPHYS_RAY_URL", "Ray's job server (its dashboard): http://HOST:PORT")
    token: str = _setting("TIPHYS_RAY_TOKEN", "Ray's cluster token", secret=True)


@dataclass(frozen=True)
class LedgerSettings:
    """Where the release ledger is."""

    url: str = _setting("TIPHYS_LEDGER_URL", "release ledger: http://HOST:PORT")
    token: str = _setting("TIPHYS_LEDGER_TOKEN", "this component's token for the ledger", "", secret=True)


@dataclass(frozen=True)
class RegistrySettings:
    """Where images of models and services are pushed, and who we are there."""

    registry: str = _setting(
        "TIPHYS_REGISTRY",
        "registry that images of models are pushed to: HOST[:PORT]/PREFIX; empty: they stay in S3",
        "",
    )
    auth: str = _setting(
        "TIPHYS_REGISTRY_AUTH", "login for that registry, as the text of a docker config.json", "", secret=True
    )
    plain_http: str = _setting(
        "TIPHYS_REGISTRY_PLAIN_HTTP",
        "registries without TLS, with commas, as HOST or HOST:PORT",
        "127.0.0.1,localhost,[::1]",
    )

    def is_plain(self, host: str) -> bool:
        """Whether the registry at HOST or HOST:PORT has no TLS."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return bool({host, name} & {each.strip() for each in self.plain_http.split(",") if each.strip()})


@dataclass(frozen=True)
class GitSettings:
    """Where code comes from."""

    token: str = _setting("TIPHYS_GIT_TOKEN", "token for private git repositories over https", "", secret=True)


@dataclass(frozen=True)
class PackageSettings:
    """What the image of a model stands on."""

    triton_image: str = _setting(
        "TIPHYS_TRITON_IMAGE",
        "image of Triton in that registry, HOST/PATH@sha256:...; empty: a model's image holds its repository alone",
        "",
    )


@dataclass(frozen=True)
class ServingSettings:
    """Where models answer."""

    staging_http: str = _setting("TIPHYS_STAGING_HTTP", "staging Triton over HTTP: HOST:PORT")
    staging_grpc: str = _setting("TIPHYS_STAGING_GRPC", "staging Triton over gRPC: HOST:PORT")
    canary_http: str = _setting("TIPHYS_CANARY_HTTP", "canary Triton over HTTP: HOST:PORT")
    canary_grpc: str = _setting("TIPHYS_CANARY_GRPC", "canary Triton over gRPC: HOST:PORT")
    production_http: str = _setting("TIPHYS_PRODUCTION_HTTP", "production Triton over HTTP: HOST:PORT")
    production_grpc: str = _setting("TIPHYS_PRODUCTION_GRPC", "production Triton over gRPC: HOST:PORT")


@dataclass(frozen=True)
class AgentsSettings:
    """Where the agents beside the Tritons are, whom they obey, and the gateway's other doors."""

    staging: str = _setting("TIPHYS_STAGING_AGENT", "agent beside staging's Triton: HOST:PORT")
    canary: str = _setting("TIPHYS_CANARY_AGENT", "agent beside the canary's Triton: HOST:PORT")
    production: str = _setting("TIPHYS_PRODUCTION_AGENT", "agent beside production's Triton: HOST:PORT")
    gateway_grpc: str = _setting("TIPHYS_GATEWAY_GRPC", "gateway over gRPC, the V2 inference protocol: HOST:PORT")
    gateway_admin_url: str = _setting("TIPHYS_GATEWAY_ADMIN_URL", "the gateway's admin port: http://HOST:PORT")
    staging_token: str = _setting(
        "TIPHYS_STAGING_AGENT_TOKEN", "what staging's agent is told to go back with", "", secret=True
    )
    canary_token: str = _setting(
        "TIPHYS_CANARY_AGENT_TOKEN", "what the canary's agent is told to go back with", "", secret=True
    )
    production_token: str = _setting(
        "TIPHYS_PRODUCTION_AGENT_TOKEN", "what production's agent is told to go back with", "", secret=True
    )


@dataclass(frozen=True)
class AskerSettings:
    """Where the gateway is, and who we are when we ask it."""

    url: str = _setting("TIPHYS_GATEWAY_URL", "gateway: http://HOST:PORT")
    key: str = _setting("TIPHYS_GATEWAY_KEY", "API key for the gateway", "", secret=True)


@dataclass(frozen=True)
class AuditorSettings:
    """Who we are when we report what the operator's own meters say."""

    key: str = _setting("TIPHYS_AUDITOR_KEY", "API key of role auditor: what it feeds back is trusted", secret=True)


@dataclass(frozen=True)
class AdminSettings:
    """The token of one admin port: the gateway, and each agent, knows by its own whom to obey."""

    token: str = _setting(
        "TIPHYS_ADMIN_TOKEN", "token of the gateway's admin port; at an agent: of that agent's own", "", secret=True
    )


@dataclass(frozen=True)
class PassportSettings:
    """The key that passports are signed with."""

    key: str = _setting("TIPHYS_PASSPORT_KEY", "Ed25519 private key of passports: 32 bytes in hex", secret=True)


@dataclass(frozen=True)
class TrustSettings:
    """Whose passports count."""

    public_keys: str = _setting(
        "TIPHYS_PASSPORT_PUBLIC_KEYS", "Ed25519 public keys that passports may be signed with, in hex, with commas", ""
    )


@dataclass(frozen=True)
class ListenSettings:
    """Where our own servers (ledger, agent, gateway) listen."""

    bind: str = _setting("TIPHYS_BIND", "address that our own servers listen on", "127.0.0.1")


@dataclass(frozen=True)
class LedgerServerSettings:
    """How the release ledger itself runs."""

    port: int = _setting("TIPHYS_LEDGER_PORT", "port of the ledger")
    db_url: str = _setting("TIPHYS_LEDGER_DB_URL", "the ledger's database: postgresql://HOST:PORT/DATABASE")
    db_user: str = _setting("TIPHYS_LEDGER_DB_USER", "the ledger's role in that database", secret=True)
    db_password: str = _setting("TIPHYS_LEDGER_DB_PASSWORD", "that role's password", secret=True)
    tokens: str = _setting(
        "TIPHYS_LEDGER_TOKENS",
        "JSON object token -> read|evidence|staging|canary|production|agent:ENVIRONMENT",
        secret=True,
    )


@dataclass(frozen=True)
class GovernorSettings:
    """Where alerts go, and who we are there."""

    url: str = _setting("TIPHYS_GOVERNOR_URL", "governor, which takes alerts and decides: http://HOST:PORT")
    secret: str = _setting("TIPHYS_WEBHOOK_SECRET", "what our webhooks are signed with: whsec_BASE64", "", secret=True)
    token: str = _setting("TIPHYS_GOVERNOR_TOKEN", "token to read events and decisions with", "", secret=True)


@dataclass(frozen=True)
class PaceSettings:
    """How fast the governor's time passes."""

    speed: float = _setting(
        "TIPHYS_GOVERNOR_SPEED", "so many seconds of the governor's clock pass in one; more than 1 for rehearsals", "1"
    )


@dataclass(frozen=True)
class GovernorServerSettings:
    """How the governor itself runs; where it posts to, ``ArgoSettings`` says."""

    port: int = _setting("TIPHYS_GOVERNOR_PORT", "port of the governor")
    db_url: str = _setting("TIPHYS_GOVERNOR_DB_URL", "the governor's database: postgresql://HOST:PORT/DATABASE")
    db_user: str = _setting("TIPHYS_GOVERNOR_DB_USER", "the governor's role in that database", secret=True)
    db_password: str = _setting("TIPHYS_GOVERNOR_DB_PASSWORD", "that role's password", secret=True)
    secrets: str = _setting(
        "TIPHYS_WEBHOOK_SECRETS",
        "JSON object whsec_BASE64 -> SENDER:alert|schedule|person; two of one sender while a secret is exchanged",
        secret=True,
    )
    tokens: str = _setting("TIPHYS_GOVERNOR_TOKENS", "JSON object token -> read|alertmanager|claim", "{}", secret=True)
    argo_token: str = _setting(
        "TIPHYS_ARGO_TOKEN",
        "token to post events and read runs with, where TIPHYS_ARGO_TOKEN_FILE names none",
        "",
        secret=True,
    )
    sources: str = _setting(
        "TIPHYS_RETRAIN_SOURCES",
        "JSON object use case -> s3://BUCKET/PREFIX/ of the raw files to train on; of others: those of the last training that succeeded",
        "{}",
    )


@dataclass(frozen=True)
class AgentSettings:
    """How the agent beside a Triton runs."""

    environment: str = _setting("TIPHYS_AGENT_ENVIRONMENT", "environment that the agent's Triton serves: staging")
    state: Path = _setting("TIPHYS_AGENT_STATE", "the agent's folder: its copies of models and what served last")
    repository: Path = _setting("TIPHYS_AGENT_REPOSITORY", "model repository that Triton reads and the agent fills")
    port: int = _setting("TIPHYS_AGENT_PORT", "port of the agent's health and metrics")


@dataclass(frozen=True)
class GatewaySettings:
    """How the gateway runs."""

    port: int = _setting("TIPHYS_GATEWAY_PORT", "port of the gateway")
    grpc_port: int = _setting("TIPHYS_GATEWAY_GRPC_PORT", "port of the gateway for the V2 inference protocol over gRPC")
    admin_port: int = _setting("TIPHYS_GATEWAY_ADMIN_PORT", "port of the gateway's admin page and API")
    state: Path = _setting(
        "TIPHYS_GATEWAY_STATE",
        "the gateway's folder: predictions not landed yet, the last routes, answers of last resort",
    )
    use_cases: str = _setting("TIPHYS_GATEWAY_USE_CASES", "use cases it always mounts, with commas", "taxi_eta")
    keys: str = _setting(
        "TIPHYS_GATEWAY_KEYS",
        "API keys: JSON object sha256 of the key -> {name, role: rider|auditor|tester|admin, rate, burst, daily}",
        "{}",
        secret=True,
    )


@dataclass(frozen=True)
class RunSettings:
    """Which run a step belongs to; the manifest sets them."""

    run: str = _setting("TIPHYS_RUN", "name of the workflow run", "by-hand")
    node: str = _setting("TIPHYS_NODE", "name of the step's node (pod) in the run", "by-hand")
    attempt: str = _setting("TIPHYS_ATTEMPT", "attempt number, from 0", "0")
    revision: str = _setting("TIPHYS_REVISION", "git revision of the code; asked of git when empty", "")


@dataclass(frozen=True)
class DebugSettings:
    """Who waits for what a step raises."""

    post_mortem: str = _setting("TIPHYS_POST_MORTEM", "set by `tiphys replay --debug`: exceptions are let through", "")


@dataclass(frozen=True)
class StackSettings:
    """The laptop's own settings: where state lives and which ports the embedded servers take."""

    home: Path = _setting("TIPHYS_HOME", "folder of all state; may be thrown away", str(PROJECT / ".tiphys"))
    port_base: int = _setting("TIPHYS_PORT_BASE", "first of the 100 ports that the embedded servers take", "7400")
    java_home: str = _setting("JAVA_HOME", "Java 17 or newer for Spark; found on PATH when empty", "")
    project: Path = PROJECT


@dataclass(frozen=True)
class EngineSettings:
    """How the engine runs workflows on this machine."""

    artifacts: str = _setting(
        "TIPHYS_ARTIFACTS",
        "where steps' artifacts are kept: folder (of TIPHYS_HOME), or s3 (the stack's bucket)",
        "folder",
    )
    cache: str = _setting(
        "TIPHYS_CACHE",
        "whether steps use kept results: on, off, or audit=SHARE to run that share of the hits again and compare",
        "on",
    )
    containers: str = _setting(
        "TIPHYS_CONTAINERS",
        "images whose steps run in them, as containers, in new runs: shell patterns with commas, * for all; empty: as processes",
        "",
    )


@dataclass(frozen=True)
class ImageSettings:
    """How images are built on this machine."""

    builder: str = _setting("TIPHYS_BUILDER", "docker, podman or buildah; the first that works when empty", "")
    base: str = _setting(
        "TIPHYS_BASE",
        "base of the images: any Debian 12, or bootstrap to make one here; images/debian names one when empty",
        "",
    )
    torch: str = _setting(
        "TIPHYS_TORCH", "PyTorch in images: cpu, cuda, or auto: the CPU build if it can be reached", "auto"
    )
    authorities: str = _setting("SSL_CERT_FILE", "certificate authorities of this machine, lent to image builds", "")


@dataclass(frozen=True)
class ArgoSettings:
    """The Argo server that the command line talks to; flags win over these."""

    server: str = _setting("TIPHYS_ARGO_SERVER", "Argo server: https://HOST:PORT; empty: runs are on this machine", "")
    namespace: str = _setting("TIPHYS_ARGO_NAMESPACE", "namespace of the runs there", "tiphys")
    token_file: str = _setting(
        "TIPHYS_ARGO_TOKEN_FILE", "file with the token to send, as `kubectl create token` prints it", ""
    )
    ca_file: str = _setting(
        "TIPHYS_ARGO_CA_FILE", "certificate of the authority that the server's own is signed by", ""
    )


@dataclass(frozen=True)
class TerminalSettings:
    """How to write to a terminal."""

    no_color: str = _setting("NO_COLOR", "anything: no colours on a terminal", "")


GROUPS: tuple[type[Any], ...] = (
    S3Settings, CatalogSettings, SparkSettings, TrackingSettings, RaySettings, LedgerSettings, RegistrySettings,
    GitSettings, PackageSettings, ServingSettings, ListenSettings, LedgerServerSettings, GovernorSettings,
    GovernorServerSettings, PaceSettings, AgentSettings, AgentsSettings,
    GatewaySettings, AskerSettings, AuditorSettings, AdminSettings, PassportSettings, TrustSettings, RunSettings, DebugSettings,
    StackSettings, EngineSettings, ImageSettings, ArgoSettings, TerminalSettings,
)  # fmt: skip


@dataclass(frozen=True)
class Variable:
    """One environment variable of the contract with its readers."""

    name: str
    meaning: str
    default: str | None
    secret: bool


def variables(*groups: type) -> Iterator[Variable]:
    """The variables of these groups; of none named: every one that Tiphys reads, in the order of the groups."""
    for group in groups or GROUPS:
        for each in dataclasses.fields(group):
            if "name" in each.metadata:
                meta = each.metadata
                default = None if meta["default"] == _REQUIRED else meta["default"]
                yield Variable(meta["name"], meta["meaning"], default, meta["secret"])


def present_secrets(environ: Mapping[str, str] | None = None) -> set[str]:
    """The values of the secret variables that are set now."""
    environ = os.environ if environ is None else environ
    return {environ[each.name] for each in variables() if each.secret and environ.get(each.name)}


def load(group: type[Group], environ: Mapping[str, str] | None = None) -> Group:
    """Read one group; a variable that is empty counts as not set.

    Raises:
        SettingsError: variables are missing (all of them are named at once) or have a wrong form.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    missing: list[str] = []
    for each in dataclasses.fields(group):  # type: ignore[arg-type]
        if "name" not in each.metadata:
            continue
        text = environ.get(each.metadata["name"]) or each.metadata["default"]
        if text == _REQUIRED:
            missing.append(f"{each.metadata['name']} ({each.metadata['meaning']})")
        else:
            values[each.name] = _convert(each.metadata["name"], str(each.type), text)
    if missing:
        listed = ", ".join(missing)
        message = f"not set: {listed}; in a run they come from ConfigMap 'tiphys' and the step's Secret; "
        raise SettingsError(message + 'by hand: eval "$(tiphys env COMPONENT)"')
    return group(**values)


def spark_variables(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What Spark tells the pod of an executor: its contract, not ours."""
    environ = os.environ if environ is None else environ
    return {name: value for name, value in environ.items() if name.startswith("SPARK_")}


PROGRAMS = (
    "PATH", "HOME", "TMPDIR", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
    "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy",
)  # fmt: skip
"""What a program needs of our surroundings that speaks to the outside."""
INSTALLERS = (*PROGRAMS, "PIP_", "UV_", "TIPHYS_BASE", "TIPHYS_TORCH")
"""What one needs that installs packages or builds images."""
LENT_TO_BUILDS = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_FIND_LINKS", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES",
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INSECURE_HOST", "UV_FIND_LINKS",
    "UV_INDEX_STRATEGY", "UV_HTTP_TIMEOUT",
)  # fmt: skip
"""Settings of pip and uv that also hold inside of an image build."""
OUTSIDE = tuple(each for each in INSTALLERS if each not in {"PATH", "HOME", "TMPDIR", "LANG"})
"""What of it is the place's, not the process's: on a laptop the steps that reach out get it from who starts the servers."""


def surroundings(*names: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a program that we start is lent of our own environment: these variables; ``PIP_`` stands for all of pip's."""
    environ = os.environ if environ is None else environ
    whole, beginnings = (
        {each for each in names if not each.endswith("_")},
        tuple(each for each in names if each.endswith("_")),
    )
    return {
        name: value for name, value in environ.items() if name in whole or (beginnings and name.startswith(beginnings))
    }


def stack_settings() -> StackSettings:
    """Read the laptop's own settings."""
    return load(StackSettings)


def _convert(name: str, kind: str, text: str) -> Any:
    if kind == "Path":
        return Path(text).expanduser().resolve()
    if kind == "int":
        try:
            return int(text)
        except ValueError:
            message = f"{name} must be a whole number, not {text!r}"
            raise SettingsError(message) from None
    if kind == "float":
        try:
            return float(text)
        except ValueError:
            message = f"{name} must be a number, not {text!r}"
            raise SettingsError(message) from None
    return text
