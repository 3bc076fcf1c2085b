"""The ConfigMap ``tiphys`` and the Secrets ``tiphys-<component>`` as the laptop's servers make them true."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tiphys.release.records import ENVIRONMENTS
from tiphys.settings import StackSettings
from tiphys.stack.keys import AUDITOR, Keys, Principal, Registry
from tiphys.stack.layout import Layout
from tiphys.stack.ports import Ports

_SPARK = """\
spark.master local[2]
spark.driver.memory 1g
spark.ui.enabled false
spark.driver.bindAddress 127.0.0.1
spark.driver.host 127.0.0.1
spark.sql.session.timeZone UTC
spark.log.level WARN
"""


def config_map(settings: StackSettings, keys: Keys) -> dict[str, str]:
    """Addresses of everything: the data of ConfigMap ``tiphys``; the registry only where there is one."""
    ports = Ports(settings.port_base)
    return {
        "TIPHYS_S3_ENDPOINT": ports.url("s3"),
        "TIPHYS_S3_REGION": "us-east-1",
        "TIPHYS_CATALOG_URL": f"postgresql://{ports.address('postgres')}/lake",
        "TIPHYS_WAREHOUSE": "s3://lake/warehouse",
        "TIPHYS_SPARK_CONF": spark_conf(settings),
        "TIPHYS_MLFLOW_URL": ports.url("mlflow"),
        "TIPHYS_RAY_URL": ports.url("ray"),
        "TIPHYS_LEDGER_URL": ports.url("ledger"),
        "TIPHYS_GOVERNOR_URL": ports.url("governor"),
        "TIPHYS_GATEWAY_URL": ports.url("gateway"),
        "TIPHYS_GATEWAY_GRPC": ports.address("gateway_grpc"),
        "TIPHYS_GATEWAY_ADMIN_URL": ports.url("gateway_admin"),
        **{
            f"TIPHYS_{environment.upper()}_{kind.upper()}": ports.address(f"{environment}_{kind}")
            for environment in ENVIRONMENTS
            for kind in ("http", "grpc", "agent")
        },
        "TIPHYS_PASSPORT_PUBLIC_KEYS": keys.passport_public_key,
        **_images(keys.registry),
    }


def _images(registry: Registry) -> dict[str, str]:
    """Where images of models go: the settings that the servers were started with."""
    told = {
        "TIPHYS_REGISTRY": registry.registry,
        "TIPHYS_REGISTRY_PLAIN_HTTP": registry.plain_http,
        "TIPHYS_TRITON_IMAGE": registry.triton_image,
    }
    return {name: value for name, value in told.items() if value}


def spark_conf(settings: StackSettings) -> str:
    """Spark's settings on a laptop, in the form of spark-defaults."""
    layout = Layout.of(settings)
    lines = _SPARK + f"spark.local.dir {layout.temporary}\nspark.sql.warehouse.dir {layout.temporary / 'warehouse'}\n"
    jars = sorted(str(each) for each in layout.jars.glob("*.jar"))
    return lines + (f"spark.jars {','.join(jars)}\n" if jars else "")


def secrets(settings: StackSettings, keys: Keys) -> dict[str, dict[str, str]]:
    """What each principal may know: the data of Secret ``tiphys-<name>``."""
    found = {name: _secret(keys, name) for name in keys.principals}
    ports = Ports(settings.port_base)
    tokens = {each.ledger_token: each.ledger for each in keys.principals.values() if each.ledger}
    found["ledger"] |= {
        "TIPHYS_LEDGER_DB_URL": f"postgresql://{ports.address('postgres')}/ledger",
        "TIPHYS_LEDGER_DB_USER": "ledger",
        "TIPHYS_LEDGER_DB_PASSWORD": keys.passwords["ledger"],
        "TIPHYS_LEDGER_TOKENS": json.dumps(tokens),
    }
    found["governor"] |= {
        "TIPHYS_GOVERNOR_DB_URL": f"postgresql://{ports.address('postgres')}/governor",
        "TIPHYS_GOVERNOR_DB_USER": "governor",
        "TIPHYS_GOVERNOR_DB_PASSWORD": keys.passwords["governor"],
        "TIPHYS_WEBHOOK_SECRETS": json.dumps(
            {
                each.webhook_secret: f"{name}:{each.governor}"
                for name, each in keys.principals.items()
                if each.webhook_secret
            }
        ),
        "TIPHYS_GOVERNOR_TOKENS": json.dumps(
            {
                each.governor_token: each.governor if each.governor in {"alertmanager", "claim"} else "read"
                for each in keys.principals.values()
                if each.governor_token
            }
        ),
        "TIPHYS_ARGO_TOKEN": keys.api_tokens["trigger"],
    }
    found["gateway"] |= {"TIPHYS_GATEWAY_KEYS": json.dumps(_gateway_keys(keys)), "TIPHYS_ADMIN_TOKEN": keys.admin_token}
    for environment in ENVIRONMENTS:
        found[f"agent_{environment}"] |= {"TIPHYS_ADMIN_TOKEN": keys.agent_tokens[environment]}
        found["cli"] |= {f"TIPHYS_{environment.upper()}_AGENT_TOKEN": keys.agent_tokens[environment]}
    return found


def _secret(keys: Keys, name: str) -> dict[str, str]:
    principal = keys.principals[name]
    data: dict[str, str] = {}
    if principal.read or principal.write:
        data |= {"TIPHYS_S3_ACCESS_KEY": principal.access_key, "TIPHYS_S3_SECRET_KEY": principal.secret_key}
    if principal.catalog:
        role = f"lake_{principal.catalog}"
        data |= {"TIPHYS_CATALOG_USER": role, "TIPHYS_CATALOG_PASSWORD": keys.passwords[role]}
    if principal.ray:
        data["TIPHYS_RAY_TOKEN"] = keys.ray_token
    if principal.ledger:
        data["TIPHYS_LEDGER_TOKEN"] = principal.ledger_token
    if principal.registry and keys.registry.auth:
        data["TIPHYS_REGISTRY_AUTH"] = keys.registry.auth
    data |= _at_gateway(keys, principal)
    if principal.signs:
        data["TIPHYS_PASSPORT_KEY"] = keys.passport_key
    if principal.outside:
        data |= keys.outside
    at_governor = {
        "TIPHYS_GOVERNOR_TOKEN": principal.governor_token,
        "TIPHYS_WEBHOOK_SECRET": principal.webhook_secret,
    }
    return data | {variable: value for variable, value in at_governor.items() if value}


def _at_gateway(keys: Keys, principal: Principal) -> dict[str, str]:
    """Its own key there, the auditor's, the admin port's token: what its contract says of them."""
    data: dict[str, str] = {}
    if principal.gateway:
        data["TIPHYS_GATEWAY_KEY"] = principal.gateway_key
    if principal.gateway == "admin":
        data["TIPHYS_ADMIN_TOKEN"] = keys.admin_token
    if principal.audits:
        data["TIPHYS_AUDITOR_KEY"] = keys.principals[AUDITOR].gateway_key
    return data


def _gateway_keys(keys: Keys) -> dict[str, dict[str, Any]]:
    """sha256 of each API key -> whose it is and what it may do: the gateway never sees the keys themselves."""
    return {
        hashlib.sha256(each.gateway_key.encode()).hexdigest(): {"name": name, "role": each.gateway}
        for name, each in keys.principals.items()
        if each.gateway
    }


def argo(settings: StackSettings, keys: Keys, namespace: str = "default") -> dict[str, str]:
    """What Argo's own command line, and Hera, find the engine's API by."""
    ports = Ports(settings.port_base)
    return {
        "ARGO_SERVER": ports.address("engine"),
        "ARGO_HTTP1": "true",
        "ARGO_SECURE": "false",
        "ARGO_TOKEN": f"Bearer {keys.api_tokens['admin']}",
        "ARGO_NAMESPACE": namespace,
        "KUBECONFIG": "/dev/null",
    }


def documents(config: Mapping[str, str], secret: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """The same as Kubernetes objects, for the engine's store or ``kubectl apply``."""
    listed = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tiphys"}, "data": dict(config)}]
    for name, data in sorted(secret.items()):
        metadata = {"name": f"tiphys-{name.replace('_', '-')}"}
        listed.append(
            {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "stringData": dict(data)}
        )
    return listed
