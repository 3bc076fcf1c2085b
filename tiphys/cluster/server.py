"""One Argo server: its REST API through Hera's service, with bounded calls and answers kept as they came.

Hera's models lose every field that they do not know; so what is sent is the caller's JSON, and what is given back is the
server's. Hera knows no streams: logs are read from the same session.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import urljoin

import requests
from hera.workflows import WorkflowsService
from pydantic import ValidationError

from tiphys.cluster.access import Access, check_name
from tiphys.cluster.answers import refusal, unreachable
from tiphys.cluster.errors import ClusterError, ServerAwayError
from tiphys.cluster.version import check_version

Json = dict[str, Any]
_CONNECT, _READ = 10.0, 60.0  # seconds
LOGS = "main-logs"
"""The artifact that Argo keeps a main container's log as, with archiveLogs."""
_QUIET = 300.0  # seconds: a step that prints nothing for so long has its stream opened anew
_OK = 200
_BLOCK = 1 << 20  # bytes


class _Body:
    """Stands where Hera wants one of its request models; its JSON is the caller's own."""

    def __init__(self, **content: Any) -> None:
        self._content = content

    def json(self, **_options: Any) -> str:
        return json.dumps(self._content, ensure_ascii=True)


class _Session(requests.Session):
    """Sends the token that it was made with, whatever a .netrc says, and to no other place."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        token = access.token()
        self.trust_env = not access.local  # a proxy is for other hosts

        def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
            if token:
                request.headers["Authorization"] = f"Bearer {token}"
            return request

        self.auth = sign


class _Service(WorkflowsService):
    """Hera's service; `answer` is what the server said last."""

    def __init__(self, access: Access) -> None:
        verify = str(access.ca_file) if access.ca_file else True
        super().__init__(
            host=access.url.rstrip("/") + "/",
            verify_ssl=cast("bool", verify),
            namespace=access.namespace,
            session=_Session(access),
        )
        self.access = access
        self.answer: Any = None

    def _request(self, method: str, **kwargs: Any) -> requests.Response:
        """Every call of Hera's."""
        return self.ask(method, **kwargs)

    def ask(self, method: str, **kwargs: Any) -> requests.Response:
        """One call. Raises ClusterError unless it went well."""
        kwargs.setdefault("timeout", (_CONNECT, _READ))
        kwargs.pop("headers", None)  # the session signs; Hera's headers hold nothing else that matters
        headers = {"Content-Type": "application/json"} if kwargs.get("data") else {}
        try:
            response = self.session.request(method, headers=headers, allow_redirects=False, **kwargs)
            if response.status_code != _OK:
                raise refusal(self.access, response.status_code, response.text)
            if not kwargs.get("stream"):
                self.answer = response.json()
        except requests.exceptions.JSONDecodeError:
            raise refusal(self.access, response.status_code, response.text) from None
        except (requests.RequestException, OSError) as error:
            raise unreachable(self.access, error) from None
        return response


class ArgoServer:
    """What can be asked of a server, in one namespace. Every method raises ClusterError that says what to do."""

    def __init__(self, access: Access) -> None:
        """`access` must be checked; nothing is asked yet."""
        self.access = access
        self.namespace = access.namespace
        self._service = _Service(access)

    def version(self) -> str:
        """The server's version: v4.1.2."""
        answer = self._call(self._service.get_version)
        version = answer.get("version")
        if not isinstance(version, str):
            raise refusal(self.access, _OK, json.dumps(answer))
        return version

    def workflow(self, name: str) -> Json:
        """A Workflow with its status, from the archive if it is not in the cluster any more."""
        return self._call(self._service.get_workflow, self._checked(name))

    def workflows(self, fields: str = "", limit: int = 0) -> list[Json]:
        """The Workflows of the namespace, the latest first; only `fields` of them, `limit` of them (0: all)."""
        found: list[Json] = []
        token = ""
        while True:
            answer = self._call(
                self._service.list_workflows,
                fields=f"metadata.continue,{fields}" if fields else None,
                limit=str(limit) if limit else None,
                continue_=token or None,
            )
            found += answer.get("items") or []
            token = (answer.get("metadata") or {}).get("continue") or ""
            if not token or (limit and len(found) >= limit):
                return sorted(found, key=lambda each: str(each["metadata"].get("creationTimestamp")), reverse=True)

    def create(self, workflow: Json, *, dry: bool = False) -> Json:
        """Submit a Workflow; `dry` only asks the cluster whether it would take it."""
        return self._call(self._service.create_workflow, _Body(workflow=workflow, serverDryRun=dry))

    def retry(self, name: str, parameters: Mapping[str, str], selector: str = "") -> Json:
        """Run again what failed, and what `selector` chooses."""
        body = self._body(name, **_parameters(parameters), **_selected(selector, restartSuccessful=bool(selector)))
        return self._call(self._service.retry_workflow, name, body)

    def resubmit(self, name: str, parameters: Mapping[str, str], *, memoized: bool) -> Json:
        """The same once more, as a new Workflow."""
        body = self._body(name, **_parameters(parameters), memoized=memoized)
        return self._call(self._service.resubmit_workflow, name, body)

    def stop(self, name: str, selector: str = "", message: str = "") -> Json:
        """End a Workflow, exit handlers still run; with a selector only fail those suspended steps."""
        body = self._body(name, **_selected(selector), **({"message": message} if message else {}))
        return self._call(self._service.stop_workflow, name, body)

    def terminate(self, name: str) -> Json:
        """End a Workflow without its exit handlers."""
        return self._call(self._service.terminate_workflow, name, self._body(name))

    def suspend(self, name: str) -> Json:
        """Start nothing more in a Workflow."""
        return self._call(self._service.suspend_workflow, name, self._body(name))

    def resume(self, name: str, selector: str = "") -> Json:
        """Let a Workflow, or the suspended steps that are selected, go on."""
        return self._call(self._service.resume_workflow, name, self._body(name, **_selected(selector)))

    def set_outputs(self, name: str, selector: str, parameters: Mapping[str, str]) -> Json:
        """Give suspended steps the values that they wait for."""
        body = self._body(name, nodeFieldSelector=selector, outputParameters=json.dumps(dict(parameters)))
        return self._call(self._service.set_workflow, name, body)

    def delete(self, name: str) -> None:
        """Delete a Workflow and its pods."""
        self._call(self._service.delete_workflow, self._checked(name))

    def template(self, kind: str, name: str) -> Json:
        """An installed WorkflowTemplate or CronWorkflow. Raises NotThereError."""
        return self._call(_of_kind(self._service, "get", kind), self._checked(name))

    def lint_template(self, document: Json) -> Json:
        """The object as the server would keep it. Raises ClusterError with its complaint."""
        return self._call(_of_kind(self._service, "lint", document["kind"]), _template_body(document))

    def create_template(self, document: Json) -> Json:
        """Install a WorkflowTemplate or CronWorkflow that is not there."""
        return self._call(_of_kind(self._service, "create", document["kind"]), _template_body(document))

    def update_template(self, document: Json) -> Json:
        """Replace one; its metadata.resourceVersion must be the installed one's. Raises ConflictError."""
        name = self._checked(document["metadata"]["name"])
        return self._call(_of_kind(self._service, "update", document["kind"]), name, _template_body(document))

    def bindings(self) -> list[Json]:
        """The WorkflowEventBindings of the namespace, which the server lists and cannot change."""
        self._get(f"api/v1/workflow-event-bindings/{self.namespace}")
        return list(self._service.answer.get("items") or [])

    def logs(self, name: str, pod: str = "", *, follow: bool = False, since: str = "") -> Iterator[Json]:
        """What pods print, each line as {podName, content}, which begins with its time; `since` is such a time.

        Raises:
            ServerAwayError: the stream broke.
        """
        query = {"logOptions.container": "main", "logOptions.timestamps": "true", "podName": pod or None}
        query |= {"logOptions.follow": "true"} if follow else {}
        query |= {"logOptions.sinceTime": since} if since else {}
        path = f"api/v1/workflows/{self.namespace}/{self._checked(name)}/log"
        response = self._get(path, params=query, stream=True, timeout=(_CONNECT, _QUIET if follow else _READ))
        try:
            with response:
                for line in response.iter_lines():
                    entry = json.loads(line) if line.strip() else {}
                    if "error" in entry:
                        raise refusal(self.access, entry["error"].get("http_code") or 500, json.dumps(entry["error"]))
                    if "result" in entry:
                        yield entry["result"]
        except (requests.RequestException, OSError, ValueError) as error:
            raise unreachable(self.access, error) from None

    def archived_log(self, name: str, node: str) -> Iterator[str]:
        """The lines of a node's log that Argo kept as an artifact, for when its pod is gone."""
        path = f"artifact-files/{self.namespace}/workflows/{self._checked(name)}/{self._checked(node)}/outputs/{LOGS}"
        try:
            response = self._get(path, stream=True)
        except ServerAwayError:
            raise
        except ClusterError:  # the artifact part of the server gives no reasons
            msg = (
                f"{self.access.url} does not give the log that it kept of {node}: the token's account needs `get` on the "
                "Secret of the artifact repository (`tiphys install --print-prerequisites` has it), and S3 must answer"
            )
            raise ClusterError(msg) from None
        try:
            with response:
                for line in response.iter_lines():
                    yield line.decode("utf-8", "replace")
        except (requests.RequestException, OSError) as error:
            raise unreachable(self.access, error) from None

    def input_artifact(self, name: str, node: str, artifact: str, target: Path, largest: int) -> int:
        """Download an input of a node as it is stored, `largest` bytes at most; its size in bytes."""
        check_name(artifact.lower().replace("_", "-"), "artifact")
        path = f"input-artifacts/{self.namespace}/{self._checked(name)}/{self._checked(node)}/{artifact}"
        size = 0
        try:
            with self._get(path, stream=True) as response, target.open("wb") as file:
                for block in response.iter_content(_BLOCK):
                    size += len(block)
                    if size > largest:
                        msg = f"it has more than {largest:,} bytes"
                        raise ClusterError(msg)
                    file.write(block)
        except (requests.RequestException, OSError) as error:
            raise unreachable(self.access, error) from None
        return size

    def _get(self, path: str, **kwargs: Any) -> requests.Response:
        """What Hera's service has no method for."""
        url = urljoin(self._service.host, path)
        return self._service.ask("get", url=url, verify=self._service.verify_ssl, **kwargs)

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Json:
        """One call of Hera's; the server's own answer."""
        self._service.answer = {}
        with suppress(ValidationError):  # an answer that is newer than Hera's model of it is an answer
            method(*args, **kwargs)
        answer = self._service.answer
        if not isinstance(answer, dict):
            raise refusal(self.access, _OK, json.dumps(answer))
        return answer

    def _body(self, name: str, **content: Any) -> _Body:
        return _Body(name=self._checked(name), namespace=self.namespace, **content)

    @staticmethod
    def _checked(name: str) -> str:
        check_name(name, "name")
        return name


def connect(access: Access) -> tuple[ArgoServer, str]:
    """The server and its version, after it said that it is an Argo that is new enough.

    Raises:
        ClusterError: it does not answer, is no Argo server, or is too old.
    """
    server = ArgoServer(access.checked())
    version = server.version()
    check_version(access.url, version)
    return server, version


def _parameters(parameters: Mapping[str, str]) -> Json:
    return {"parameters": [f"{name}={value}" for name, value in parameters.items()]} if parameters else {}


def _selected(selector: str, **more: Any) -> Json:
    return {"nodeFieldSelector": selector, **more} if selector else {}


_KINDS = {"WorkflowTemplate": ("workflow_template", "template"), "CronWorkflow": ("cron_workflow", "cronWorkflow")}


def _of_kind(service: WorkflowsService, verb: str, kind: str) -> Callable[..., Any]:
    """Hera's method for a verb and a kind."""
    method: Callable[..., Any] = getattr(service, f"{verb}_{_KINDS[kind][0]}")
    return method


def _template_body(document: Json) -> _Body:
    return _Body(**{_KINDS[document["kind"]][1]: document})
