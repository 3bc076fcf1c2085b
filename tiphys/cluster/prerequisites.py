"""What a namespace of a cluster must hold before our workflows can run in it, as Kubernetes objects.

Accounts and roles are complete. Addresses and keys are the cluster's own: where none is given, the value says in angle
brackets what belongs there. docs/guides/argo-cluster.md leads through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from tiphys.settings import (
    AdminSettings,
    AgentsSettings,
    AskerSettings,
    AuditorSettings,
    CatalogSettings,
    GovernorSettings,
    LedgerSettings,
    PassportSettings,
    RaySettings,
    S3Settings,
    ServingSettings,
    SparkSettings,
    TrackingSettings,
)
from tiphys.step import Access, Contract

Json = dict[str, Any]
Given = Mapping[str, Mapping[str, str]]
STEPS, EXECUTOR, SUBMITTER = "tiphys", "tiphys-executor", "tiphys-submitter"
"""Accounts: of the steps, which may do nothing; of Argo's part of a pod; of who submits."""
ARTIFACTS_OWNER = "engine"
"""Whose keys Argo itself keeps artifacts with: Secret `tiphys-engine`, as on a laptop."""
BUCKET = "artifacts"

_ADDRESSES: tuple[type[Any], ...] = (
    S3Settings, CatalogSettings, SparkSettings, TrackingSettings, RaySettings, LedgerSettings, ServingSettings,
    AgentsSettings, AskerSettings, GovernorSettings,
)  # fmt: skip
_GROUP = "argoproj.io"
_CHANGE = ["create", "get", "list", "watch", "update", "patch", "delete"]
_LEVEL = "pod-security.kubernetes.io"


def documents(namespace: str, contracts: Mapping[str, Contract], given: Given) -> list[Json]:
    """The objects, in the order in which they can be applied. `given`: variables by component's name."""
    secrets = [_secret(name, _keys(each.access), given.get(name, {})) for name, each in sorted(contracts.items())]
    secrets.append(_secret(ARTIFACTS_OWNER, _secret_variables(S3Settings), given.get(ARTIFACTS_OWNER, {})))
    found = [
        *_accounts([f"{STEPS}-{each.template}" for each in contracts.values() if each.access.pods]),
        _config_map(given.get(ARTIFACTS_OWNER, {})),
        *secrets,
        _artifact_repository(given.get(ARTIFACTS_OWNER, {}).get("TIPHYS_S3_ENDPOINT", "")),
    ]
    for each in found:
        each["metadata"]["namespace"] = namespace
    return [_namespace(namespace), *found]


def _namespace(name: str) -> Json:
    labels = {f"{_LEVEL}/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _accounts(own: list[str]) -> Iterator[Json]:
    yield {**_account(STEPS), "automountServiceAccountToken": False}
    yield from ({**_account(each), "automountServiceAccountToken": False} for each in own)
    yield _account(EXECUTOR)
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {  # Argo looks for this name, and makes no token itself for an executor's own account
            "name": f"{EXECUTOR}.service-account-token",
            "annotations": {"kubernetes.io/service-account.name": EXECUTOR},
        },
    }
    yield from _role(EXECUTOR, [_rule(_GROUP, ["workflowtaskresults"], ["create", "patch"])])
    yield _account(SUBMITTER)
    ours = ["workflows", "workflowtemplates", "cronworkflows"]
    seen = ["workfloweventbindings", "clusterworkflowtemplates"]
    rules = [
        _rule(_GROUP, ours, _CHANGE),
        _rule(_GROUP, seen, ["get", "list"]),
        _rule("", ["pods", "pods/log"], ["get", "list", "watch"]),
        _rule("", ["pods"], ["delete"]),  # a retry takes the pods away that it runs again
        # Argo's server reads artifacts and kept logs with the keys of its repository, in the name of who asks.
        {**_rule("", ["secrets"], ["get"]), "resourceNames": [f"tiphys-{ARTIFACTS_OWNER}"]},
    ]
    yield from _role(SUBMITTER, rules)


def _account(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def _rule(group: str, resources: list[str], verbs: list[str]) -> Json:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _role(account: str, rules: list[Json]) -> Iterator[Json]:
    api = "rbac.authorization.k8s.io"
    yield {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": {"name": account}, "rules": rules}
    yield {
        "apiVersion": f"{api}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": account},
        "roleRef": {"apiGroup": api, "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account}],
    }


def _config_map(given: Mapping[str, str]) -> Json:
    data = {
        meta["name"]: given.get(meta["name"]) or _open_end(meta)
        for group in _ADDRESSES
        for meta in _variables(group)
        if not meta["secret"]
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tiphys"}, "data": data}


def _secret(name: str, variables: list[Mapping[str, Any]], given: Mapping[str, str]) -> Json:
    data = {meta["name"]: given.get(meta["name"]) or _open_end(meta) for meta in variables}
    metadata = {"name": f"tiphys-{name.replace('_', '-')}"}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "stringData": data}


def _keys(access: Access) -> list[Mapping[str, Any]]:
    """The secret variables that a component needs by its contract."""
    wanted = {
        S3Settings: bool(access.read or access.write),
        CatalogSettings: bool(access.catalog),
        RaySettings: access.ray,
        LedgerSettings: bool(access.ledger),
        AskerSettings: bool(access.gateway),
        AdminSettings: access.gateway == "admin",
        AuditorSettings: access.audits,
        GovernorSettings: bool(access.governor),
        PassportSettings: access.signs,
    }
    found = [each for group, needed in wanted.items() if needed for each in _secret_variables(group)]
    return [each for each in found if access.governor != "claim" or each["name"] != "TIPHYS_WEBHOOK_SECRET"]


def _secret_variables(group: type[Any]) -> list[Mapping[str, Any]]:
    return [each for each in _variables(group) if each["secret"]]


def _variables(group: type[Any]) -> Iterator[Mapping[str, Any]]:
    return (each.metadata for each in fields(group) if "name" in each.metadata)


def _open_end(meta: Mapping[str, Any]) -> str:
    """The default of a variable, or what belongs there."""
    default = str(meta["default"])
    return f"<{meta['meaning']}>" if meta["secret"] or default.startswith("\0") else default


def _artifact_repository(endpoint: str) -> Json:
    """Where Argo keeps artifacts and archived logs."""
    secure = not endpoint.startswith("http://")
    key = {"name": f"tiphys-{ARTIFACTS_OWNER}"}
    repository = {
        "s3": {
            "endpoint": endpoint.partition("://")[2] or "<S3 server: HOST:PORT>",
            "insecure": not secure,
            "bucket": BUCKET,
            "keyFormat": "{{workflow.namespace}}/{{workflow.name}}/{{pod.name}}",
            "accessKeySecret": {**key, "key": "TIPHYS_S3_ACCESS_KEY"},
            "secretKeySecret": {**key, "key": "TIPHYS_S3_SECRET_KEY"},
        }
    }
    import yaml  # noqa: PLC0415 - only who prints these needs it

    metadata = {
        "name": "artifact-repositories",
        "annotations": {"workflows.argoproj.io/default-artifact-repository": "tiphys"},
    }
    data = {"tiphys": yaml.safe_dump(repository, sort_keys=False)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
