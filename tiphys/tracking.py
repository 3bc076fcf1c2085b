"""The one door to MLflow: runs, metrics, reports, and the registry of models.

It speaks MLflow's documented REST API (2.0) through urllib3. The ``mlflow`` package would do the same calls, but its import
takes 2 s on an idle machine and 6 s on a busy one, in each of the steps that want to log ten numbers; and its client
goes on trying for minutes when the server is away. Only weights as safetensors, ONNX files and pages are ever stored: no pickle.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

from tiphys.errors import DataError, PermanentError, RetryableError
from tiphys.settings import TrackingSettings, load

PATIENCE = 45.0
"""Seconds, about, that one call goes on trying while the server is away."""

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_PROXIED = "mlflow-artifacts:/"
_GONE = "RESOURCE_DOES_NOT_EXIST"
_EXISTS = "RESOURCE_ALREADY_EXISTS"
_BATCH = 1000
_LONGEST_VALUE = 6000
"""MLflow's limit for the value of a parameter or a tag, in characters."""

Value = str | int | float | bool


@dataclass(frozen=True)
class Run:
    """One run of an experiment."""

    id: str
    experiment: str
    """Id of its experiment."""
    artifacts: str
    """Where its files are, as MLflow names it."""
    status: str = "RUNNING"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Version:
    """One registered version of a model."""

    name: str
    number: int
    run: str
    source: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """``models:/NAME/NUMBER``."""
        return f"models:/{self.name}/{self.number}"

    @property
    def sha256(self) -> str:
        """Digest of its weights."""
        return self.tags.get("sha256", "")


class Tracking:
    """A client of one MLflow server."""

    def __init__(
        self, settings: TrackingSettings | None = None, patience: float = PATIENCE, timeout: float = 30.0
    ) -> None:
        """Make the client; nothing is connected yet. One try of a call takes at most ``timeout`` seconds."""
        settings = load(TrackingSettings) if settings is None else settings
        self.url = settings.url.rstrip("/")
        tries = max(0, int(patience / 3))
        retries = urllib3.Retry(
            tries, backoff_factor=0.2, backoff_max=3.0, status_forcelist=(429, 502, 503, 504), allowed_methods=None
        )
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=min(3.0, timeout), read=timeout), retries=retries
        )

    # Runs

    def start_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> Run:
        """Begin a run; the experiment is made if it is new."""
        body = {
            "experiment_id": self._experiment(experiment),
            "run_name": name,
            "start_time": _now(),
            "tags": _pairs({"mlflow.runName": name, **tags}),
        }
        return _run(self._call("POST", "runs/create", body)["run"])

    def run(self, run: str) -> Run | None:
        """Read a run by its id; None where there is none, or a deleted one."""
        answer = self._call("GET", "runs/get", {"run_id": run}, missing=True)
        if not answer or answer["run"]["info"].get("lifecycle_stage") == "deleted":
            return None
        return _run(answer["run"])

    def find_run(self, experiment: str, tags: Mapping[str, str]) -> Run | None:
        """Find the newest run with all those tags."""
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        body = {"experiment_ids": [self._experiment(experiment)], "filter": wanted, "max_results": 1}
        found = self._call("POST", "runs/search", body).get("runs", [])
        return _run(found[0]) if found else None

    def resume_run(self, run: str) -> None:
        """Say that a run goes on."""
        self._call("POST", "runs/update", {"run_id": run, "status": "RUNNING"})

    def end_run(self, run: str, status: str = "FINISHED") -> None:
        """Close a run: FINISHED, FAILED or KILLED."""
        self._call("POST", "runs/update", {"run_id": run, "status": status, "end_time": _now()})

    def log_params(self, run: str, params: Mapping[str, Value]) -> None:
        """Record parameters; the same ones once more are no error, other values are."""
        self._call("POST", "runs/log-batch", {"run_id": run, "params": _pairs(params)})

    def log_metrics(self, run: str, metrics: Mapping[str, float], step: int = 0, at: int | None = None) -> None:
        """Record figures of one moment (milliseconds since 1970; now if not told) at a step; any number of them."""
        moment = _now() if at is None else at
        self.log_points(run, [(name, value, moment, step) for name, value in metrics.items()])

    def log_points(self, run: str, points: Iterable[tuple[str, float, int, int]]) -> None:
        """Record (name, value, milliseconds since 1970, step) in batches."""
        rows = [{"key": key, "value": value, "timestamp": at, "step": step} for key, value, at, step in points]
        for first in range(0, len(rows), _BATCH):
            self._call("POST", "runs/log-batch", {"run_id": run, "metrics": rows[first : first + _BATCH]})

    def set_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """Set or change tags of a run."""
        self._call("POST", "runs/log-batch", {"run_id": run, "tags": _pairs(tags)})

    def log_dataset(self, run: str, dataset: str, rows: int, context: str) -> None:
        """Record which dataset version a run read, as MLflow's own kind of input."""
        tag, digest = {"key": "mlflow.data.context", "value": context}, dataset.rpartition("@")[2][:36]
        described = {
            "name": dataset.partition("@")[0],
            "digest": digest,
            "source_type": "iceberg",
            "source": json.dumps({"version": dataset}),
            "profile": json.dumps({"num_rows": rows}),
        }
        self._call("POST", "runs/log-inputs", {"run_id": run, "datasets": [{"tags": [tag], "dataset": described}]})

    # Files of a run

    def log_artifact(self, run: str, path: str, content: bytes | Path) -> str:
        """Store a file with a run under ``path``; answers with its address, ``runs:/RUN/path``."""
        data = content.read_bytes() if isinstance(content, Path) else content
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        self._send("PUT", self._file_url(run, path), body=data, headers={"Content-Type": kind})
        return f"runs:/{run}/{path}"

    def artifact(self, run: str, path: str, sha256: str = "") -> bytes:
        """Read a file of a run.

        Raises:
            DataError: there is no such file, or it does not have the digest ``sha256``.
        """
        answer = self._send("GET", self._file_url(run, path), missing=True)
        if answer is None:
            message = f"MLflow run {run} has no file {path!r}: run the step that makes it again"
            raise DataError(message)
        found = hashlib.sha256(answer.data).hexdigest()
        if sha256 and found != sha256:
            message = f"file {path!r} of MLflow run {run} is damaged: its sha256 is {found}, not {sha256}; train again"
            raise DataError(message)
        return bytes(answer.data)

    # Registry

    def register(self, name: str, run: str, path: str, tags: Mapping[str, str]) -> Version:
        """Make a new version of a model from the folder ``path`` of a run; the model is made if it is new."""
        self._call("POST", "registered-models/create", {"name": name}, exists=True)
        source = f"{self._known(run).artifacts}/{path}"
        body = {"name": name, "source": source, "run_id": run, "tags": _pairs(tags)}
        return _version(self._call("POST", "model-versions/create", body)["model_version"])

    def versions(self, name: str) -> list[Version]:
        """All versions of a model, newest first."""
        found: list[Version] = []
        token = ""
        while True:
            query = {"filter": f"name = '{name}'", "max_results": "1000", **({"page_token": token} if token else {})}
            answer = self._call("GET", "model-versions/search", query)
            found += [_version(each) for each in answer.get("model_versions", [])]
            token = answer.get("next_page_token", "")
            if not token:
                return sorted(found, key=lambda each: -each.number)

    def version(self, uri: str) -> Version:
        """Read one version, named ``models:/NAME/NUMBER``.

        Raises:
            DataError: there is none of that name.
        """
        name, _, number = uri.removeprefix("models:/").rpartition("/")
        query = {"name": name, "version": number}
        answer = self._call("GET", "model-versions/get", query, missing=True) if number.isdigit() else None
        if not uri.startswith("models:/") or not answer:
            message = (
                f"model version {uri!r} does not exist: it must be models:/NAME/NUMBER of one that evaluate registered"
            )
            raise DataError(message)
        return _version(answer["model_version"])

    def aliased(self, name: str, alias: str) -> Version:
        """Read the version that an alias names now.

        Raises:
            DataError: the model has no such alias.
        """
        query = {"name": name, "alias": alias}
        answer = self._call("GET", "registered-models/alias", query, missing=True)
        if not answer:
            message = f"model {name!r} has no alias {alias!r}"
            raise DataError(message)
        return _version(answer["model_version"])

    def set_alias(self, name: str, alias: str, number: int) -> None:
        """Let an alias of a model name that version from now on."""
        body = {"name": name, "alias": alias, "version": str(number)}
        self._call("POST", "registered-models/alias", body)

    def tag_version(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set or change tags of a version."""
        for key, value in tags.items():
            body = {"name": version.name, "version": str(version.number), "key": key, "value": value[:_LONGEST_VALUE]}
            self._call("POST", "model-versions/set-tag", body)

    def attach(self, version: Version, file: str, content: bytes | Path) -> str:
        """Store a file that belongs to a version, and its digest as the tag ``sha256.FILE``; answers with the digest."""
        data = content.read_bytes() if isinstance(content, Path) else content
        digest = hashlib.sha256(data).hexdigest()
        self.log_artifact(version.run, _attached(version, file), data)
        self.tag_version(version, {f"sha256.{file}": digest})
        return digest

    def attached(self, version: Version, file: str) -> bytes:
        """Read a file that was attached to a version, its digest checked."""
        return self.artifact(version.run, _attached(version, file), version.tags.get(f"sha256.{file}", ""))

    # Plumbing

    def _experiment(self, name: str) -> str:
        found = self._call("GET", "experiments/get-by-name", {"experiment_name": name}, missing=True)
        if found:
            return str(found["experiment"]["experiment_id"])
        made = self._call("POST", "experiments/create", {"name": name}, exists=True)
        return str(made["experiment_id"]) if made else self._experiment(name)

    def _known(self, run: str) -> Run:
        found = self.run(run)
        if found is None:
            message = f"MLflow at {self.url} has no run {run}: train again"
            raise DataError(message)
        return found

    def _file_url(self, run: str, path: str) -> str:
        root = self._known(run).artifacts
        if not root.startswith(_PROXIED):
            message = f"MLflow at {self.url} keeps artifacts at {root}: start it with --serve-artifacts"
            raise PermanentError(message)
        return f"{_ARTIFACTS}/{quote(root.removeprefix(_PROXIED).strip('/') + '/' + path)}"

    def _call(
        self, method: str, route: str, content: Mapping[str, Any], *, missing: bool = False, exists: bool = False
    ) -> dict[str, Any]:
        sent: dict[str, Any] = {"fields": content} if method == "GET" else {"json": content}
        answer = self._send(method, f"{_API}/{route}", missing=missing, exists=exists, **sent)
        return {} if answer is None else dict(answer.json())

    def _send(
        self, method: str, path: str, *, missing: bool = False, exists: bool = False, **content: Any
    ) -> urllib3.BaseHTTPResponse | None:
        """Send one request; None for what is missing or exists already, where that is allowed."""
        try:
            answer = self._http.request(method, self.url + path, **content)
        except urllib3.exceptions.HTTPError as error:
            message = f"MLflow at {self.url} does not answer ({type(error).__name__}): see `tiphys status`"
            raise RetryableError(message) from error
        if answer.status < 300:  # noqa: PLR2004 - HTTP's own number
            return answer
        code, said = _fault(answer)
        if (missing and (code == _GONE or answer.status == 404)) or (exists and code == _EXISTS):  # noqa: PLR2004
            return None
        message = f"MLflow refused {method} {path}: {answer.status} {code} {said}"
        raise (RetryableError if answer.status >= 500 else PermanentError)(message)  # noqa: PLR2004


def _fault(answer: urllib3.BaseHTTPResponse) -> tuple[str, str]:
    try:
        body = answer.json()
        return str(body.get("error_code", "")), str(body.get("message", ""))
    except (ValueError, AttributeError):
        return "", answer.data[:200].decode("utf-8", "replace")


def _attached(version: Version, file: str) -> str:
    return f"versions/{version.number}/{file}"


def _pairs(values: Mapping[str, Value]) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)[:_LONGEST_VALUE]} for key, value in values.items()]


def _tags(raw: Mapping[str, Any]) -> dict[str, str]:
    return {each["key"]: each.get("value", "") for each in raw.get("tags", [])}


def _run(raw: Mapping[str, Any]) -> Run:
    info = raw["info"]
    tags = _tags(raw.get("data", {}))
    return Run(info["run_id"], info["experiment_id"], info["artifact_uri"], info.get("status", ""), tags)


def _version(raw: Mapping[str, Any]) -> Version:
    return Version(raw["name"], int(raw["version"]), raw.get("run_id", ""), raw.get("source", ""), _tags(raw))


def _now() -> int:
    return int(time.time() * 1000)
