"""Pods of several containers, and daemons: what the launcher must know of them, and how such a pod has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiphys.engine import pod
from tiphys.engine.actions import GRACE, StartPod
from tiphys.engine.artifacts import ArtifactStore
from tiphys.engine.durations import seconds
from tiphys.engine.environment import declared, environment
from tiphys.engine.errors import StepError
from tiphys.engine.images import ImageTable
from tiphys.engine.nodes import ERROR, FAILED, SUCCEEDED, node_id
from tiphys.engine.objects import ObjectStore
from tiphys.engine.pod import Ending, Place
from tiphys.engine.volumes import volumes_of

if TYPE_CHECKING:
    from tiphys.engine.oci.storage import OciImage

Json = dict[str, Any]
MAIN = "main"
_KILLED = (137, 143)  # a sidecar that we ended, or that ended itself when it was asked to
_EMISSARY_ERROR = 64


def has_many(template: Json) -> bool:
    """Whether a template needs more than one process, or one that is told from others by its readiness."""
    return any(template.get(field) for field in ("containerSet", "sidecars", "initContainers", "daemon"))


def mains_of(template: Json) -> list[Json]:
    """The main containers: all of a containerSet with the mounts that they share, else the one."""
    group = template.get("containerSet")
    if group is None:
        return [{**pod.body_of(template), "name": MAIN}]
    shared = group.get("volumeMounts") or []
    return [{**item, "volumeMounts": [*(item.get("volumeMounts") or []), *shared]} for item in group["containers"]]


def containers_spec(  # noqa: PLR0913, PLR0917
    start: StartPod, place: Place, images: ImageTable, objects: ObjectStore, store: ArtifactStore, logs: Path
) -> Json:
    """All that the launcher must know of a pod; logs of other containers than main go to `logs`. Raises StepError."""
    template = start.template
    mains = mains_of(template)
    main = next((item for item in mains if item["name"] == MAIN), mains[0])
    plain = {key: value for key, value in template.items() if key != "containerSet"}
    if template.get("script") is None:
        plain["container"] = main
    spec = pod.launcher_spec(replace(start, template=plain), place, images, objects, store)
    made = _Maker(replace(start, template=plain), place, images, objects, spec)
    inits = [made.container(_mirrored(item, main), "init", logs) for item in template.get("initContainers") or []]
    sidecars = [made.container(_mirrored(item, main), "sidecar", logs) for item in template.get("sidecars") or []]
    spec["containers"] = [*inits, *sidecars, *(made.main(item, template, logs) for item in mains)]
    _share_tmp(spec)
    spec["declared"] += [volume["path"] for item in spec["containers"] for volume in item["volumes"]]
    spec["grace"] = GRACE
    if template.get("daemon"):
        spec |= {"daemon": True, "probe": _probe(main)}
    return spec


def _share_tmp(spec: Json) -> None:
    """A volume at /tmp takes the place of the pod's own /tmp, so that the folders below it stay in sight."""
    shared = [volume for volume in spec["volumes"] if volume["path"] == "/tmp"]  # noqa: S108
    if shared:
        spec["tmp"] = shared[0]["source"]
        spec["volumes"].remove(shared[0])


class _Maker:
    """Makes the entries of one pod's containers; volumes that all may share go into the pod's own list."""

    def __init__(self, start: StartPod, place: Place, images: ImageTable, objects: ObjectStore, spec: Json) -> None:
        self._start = start
        self._place = place
        self._images = images
        self._objects = objects
        self._spec = spec

    def main(self, body: Json, template: Json, logs: Path) -> Json:
        """A main container: `main` writes to the step's own log, and its stdout is the result."""
        if body["name"] == MAIN:
            plain: Json = {
                key: self._spec[key] for key in ("argv", "env", "cwd", "enter", "state") if key in self._spec
            }
            entry = {"name": MAIN, "role": "main", "volumes": [], **plain}
        else:
            entry = self.container(body, "main", logs)
        strategy = (template.get("containerSet") or {}).get("retryStrategy") or {}
        return {
            **entry,
            "dependencies": body.get("dependencies") or [],
            "attempts": int(strategy.get("retries") or 1),
            "pause": seconds(strategy["duration"]) if strategy.get("duration") else 0.0,
        }

    def container(self, body: Json, role: str, logs: Path) -> Json:
        """Any other container."""
        image = self._images.require(body.get("image") or "", self._start.template.get("name") or "")
        argv = pod.argv_of(body, image, declared(body, self._objects))
        if not argv:
            msg = f"container {body['name']}: image {body.get('image')} has no command: give `command` or map the image"
            raise StepError(msg)
        log = log_of(logs, self._start.node_id, self._start.node_name, body["name"], role)
        entry = {"name": body["name"], "role": role, "log": str(log)}
        if image.oci is not None:
            return {**entry, **self._in_image(body, image.oci, argv)}
        env = environment(body, image, self._objects, self._place.home)
        env.update(pod.argo_env(self._start))
        pod.refuse_nul(argv, env)
        cwd = body.get("workingDir") or image.workdir
        return {**entry, "argv": argv, "env": env, "cwd": cwd, "volumes": self._volumes(body)}

    def _in_image(self, body: Json, image: OciImage, argv: list[str]) -> Json:
        """A container that runs in its image; its volumes are its own."""
        from tiphys.engine.oci.pod import InImage  # noqa: PLC0415  # most runs need none

        if self._images.storage is None:
            return {}
        inside = InImage(self._start.template, body, image, self._images.storage, self._place)
        env = inside.environment(self._objects, pod.argo_env(self._start))
        pod.refuse_nul(argv, env)
        volumes = volumes_of(self._start.template, body, self._place.attempt, self._objects)
        bundle = inside.bundle(body["name"], argv, env, volumes)
        self._spec.setdefault("bundles", []).append(bundle)
        self._spec["images"] = sorted({*self._spec.get("images", ()), inside.root})
        return {**inside.entry(bundle), "volumes": []}

    def _volumes(self, body: Json) -> list[Json]:
        """The mounts that only this container may see, because another one has something else at the path."""
        pod_wide = self._spec["volumes"]
        known = {volume["path"]: volume["source"] for volume in pod_wide}
        if self._spec["tmp"]:
            known["/tmp"] = self._spec["tmp"]  # noqa: S108
        own = []
        for volume in volumes_of(self._start.template, body, self._place.attempt, self._objects):
            if volume["path"] not in known:
                pod_wide.append(volume)
                self._spec["declared"].append(volume["path"])
            elif known[volume["path"]] != volume["source"]:
                self._need_namespaces(body, volume)
                own.append(volume)
        pod_wide.sort(key=lambda volume: len(volume["path"]))
        return own

    def _need_namespaces(self, body: Json, volume: Json) -> None:
        """Without a private root a mount for one container would be a mount for the whole machine."""
        if not self._place.private:
            msg = (
                f"container {body['name']}: {volume['path']} shows another volume to another container of the pod, which"
                " needs namespaces, and there are none here: give them different paths"
            )
            raise StepError(msg)


def log_of(logs: Path, identity: str, node_name: str, container: str, role: str) -> Path:
    """The log of a container: that of its own node in a containerSet, else beside that of the step."""
    if role == "main":
        run = logs.name
        return logs / f"{node_id(run, f'{node_name}.{container}')}.log"
    return logs / f"{identity}.{container}.log"


def _mirrored(body: Json, main: Json) -> Json:
    if not body.get("mirrorVolumeMounts"):
        return body
    return {**body, "volumeMounts": [*(body.get("volumeMounts") or []), *(main.get("volumeMounts") or [])]}


def _probe(main: Json) -> Json | None:
    """The readiness probe with its port as a number."""
    probe: Json | None = main.get("readinessProbe")
    if probe is None:
        return None
    for kind in ("httpGet", "tcpSocket"):
        if probe.get(kind):
            return {**probe, kind: {**probe[kind], "port": _port(probe[kind].get("port"), main)}}
    return probe


def _port(port: Any, main: Json) -> int:
    named = {entry.get("name"): entry.get("containerPort") for entry in main.get("ports") or []}
    number = named.get(port, port)
    if not str(number).isdigit():
        msg = f"readinessProbe: port {port!r} is no number and no name among the container's ports"
        raise StepError(msg)
    return int(number)


def ending(  # noqa: PLR0913, PLR0917
    start: StartPod, report: Json, stdout: bytes | None, place: Place, store: ArtifactStore, prefix: str
) -> Ending:
    """How the pod ended, by the order of preference that Argo's controller has: init, main, outputs, sidecars."""
    if "containers" not in report:
        return _without_report(report)
    containers = sorted(report["containers"], key=lambda item: item["name"])
    failed_init = next((item for item in report["containers"] if item["role"] == "init" and item["exit"]), None)
    if failed_init is not None:
        return _after_init(failed_init, containers)
    outputs, problems = pod.take_outputs(start, report, stdout, place, store, prefix)
    if report["exit"] is not None:
        outputs = {"exitCode": str(report["exit"]), **outputs}
    mains = [item for item in containers if item["role"] == "main" and item["exit"]]
    if mains:
        return Ending(FAILED, _message(mains[0]), outputs)
    if problems:
        return Ending(ERROR, f"wait: Error (exit code 64): {'; '.join(problems)}", outputs)
    sidecars = [item for item in containers if item["role"] == "sidecar" and item["exit"]]
    blamed = [item for item in sidecars if item["exit"] not in _KILLED]
    if blamed or start.template.get("daemon"):
        return Ending(FAILED, _message(blamed[0]) if blamed else "", outputs)
    return Ending(SUCCEEDED, "", outputs)


def _without_report(report: Json) -> Ending:
    """The launcher was killed, with everything that it ran, or could not begin."""
    if "exit" in report:
        return Ending(FAILED, f"main: Error (exit code {report['exit']})", {"exitCode": str(report["exit"])})
    return Ending(ERROR, str(report.get("error") or "the step's launcher was killed"), {})


def _after_init(failed: Json, containers: list[Json]) -> Ending:
    if failed["exit"] in _KILLED:
        first = next(item["name"] for item in containers if item["role"] == "main")
        return Ending(ERROR, f"Pod failed before {first} container starts due to PodInitializing: ", {})
    return Ending(FAILED, _message(failed), {})


def _message(item: Json) -> str:
    tail = f": {item['message']}" if item["message"] else ""
    return f"{item['name']}: Error (exit code {item['exit']}){tail}"


def with_logs(  # noqa: PLR0913, PLR0917
    finish: Callable[..., Ending], logs: Path,
    start: StartPod, report: Json, stdout: bytes | None, place: Place, store: ArtifactStore, prefix: str,
) -> Ending:  # fmt: skip
    """`finish`, and what archiveLogs asks for: the log of each main container as an artifact."""
    ended = finish(start, report, stdout, place, store, prefix)
    kept = []
    for body in mains_of(start.template):
        name = body["name"]
        path = logs / f"{start.node_id}.log" if name == MAIN else log_of(logs, "", start.node_name, name, "main")
        if path.exists():
            key = f"{prefix}/{name}.log"
            store.put(path, key)
            kept.append({"name": f"{name}-logs", "s3": {"key": key}})
    if not kept:
        return ended
    outputs = {**ended.outputs, "artifacts": [*(ended.outputs.get("artifacts") or []), *kept]}
    return replace(ended, outputs=outputs)


def phase_of(event: Json) -> tuple[str, str]:
    """The phase and message of a Container node, from one line of the launcher."""
    if event.get("running"):
        return "Running", ""
    code = event["exit"]
    if code == 0:
        return SUCCEEDED, ""
    message = f"{event['container']}: Error (exit code {code}): {event.get('message') or ''}"
    return (ERROR if code == _EMISSARY_ERROR else FAILED), message
