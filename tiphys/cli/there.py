"""The commands for runs, on an Argo server: each prints what its counterpart for this machine prints."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tiphys.cli.places import flags
from tiphys.cli.runs import LATEST, in_colour, nearest, say

if TYPE_CHECKING:
    from tiphys.cluster import ArgoServer
    from tiphys.engine import Node, RunState
    from tiphys.engine.journal import Summary

Json = dict[str, Any]
_ON_ITS_WAY = ("PodInitializing", "ContainerCreating")
_LONG = 60.0  # seconds: by then a pod has begun, or something is wrong
_LISTED = "items.metadata,items.status.phase,items.status.finishedAt,items.status.startedAt"


def get(args: argparse.Namespace, server: ArgoServer) -> int:
    """Print one run."""
    from tiphys.cli.get import show
    from tiphys.engine.argo_read import run_of

    workflow = workflow_of(server, args.run)
    show(args, run_of(workflow), lambda: workflow, [])
    return 0


def list_(args: argparse.Namespace, server: ArgoServer) -> int:
    """Print one line a run."""
    from tiphys.cli.list_ import passing, show

    every, labels = _summaries(server)
    found = passing(every, lambda run: labels[run.name], args)
    show(args, found, going=lambda _: True, empty=f"no runs in {server.namespace}" if not every else "")
    return 0


def watch(args: argparse.Namespace, server: ArgoServer) -> int:
    """Draw the run until it has ended."""
    from tiphys.cli.watch import shower

    name = _name(server, args.run)
    try:
        run = _shown(server, name, shower(args))
    except KeyboardInterrupt:
        return 130
    return 0 if run.phase == "Succeeded" else 1


def logs(args: argparse.Namespace, server: ArgoServer) -> int:
    """Print what the steps printed: of pods that are there, then what Argo kept of those that are gone."""
    from tiphys.engine.argo_read import run_of

    run = run_of(workflow_of(server, args.run))
    try:
        _Logs(args, server, run).print_all()
    except KeyboardInterrupt:
        return 130
    return 0


class _Logs:
    """The logs of one run, as the command line wants them."""

    def __init__(self, args: argparse.Namespace, server: ArgoServer, run: RunState) -> None:
        from tiphys.cli.logs import Printer, chosen

        self._args, self._server, self._run = args, server, run
        self._pods = _pods(run)
        wanted = chosen(run, args.node, list(self._pods.values()))
        self._one = wanted[0] if args.node and len(wanted) == 1 else None
        self._printer = Printer(in_colour(args), prefixed=self._one is None)

    def print_all(self) -> None:
        """Print them; with --follow until the run has ended."""
        from tiphys.cluster.logs import lines
        from tiphys.engine.argo_get import pod_of

        follow = self._args.follow and not self._run.done
        pod = pod_of(self._run, self._one) if self._one else ""
        seen = set()
        for line in lines(self._server, self._run.name, pod, follow=follow):
            seen.add(line.pod)
            self._print(line.pod, line.text)
        kept = [self._print_kept(gone) for gone in self._pods if gone not in seen]
        if not seen and not any(kept) and self._pods:
            say(
                f"{self._run.name}: the cluster gives no lines: nothing was printed, or the pods are gone and no log was kept"
            )

    def _print_kept(self, pod: str) -> bool:
        """Print what Argo kept of a pod's log; whether it kept any."""
        from tiphys.cli.logs import chosen
        from tiphys.cluster.logs import is_argos_own
        from tiphys.cluster.server import LOGS

        node = self._pods[pod]
        kept = any(each.get("name") == LOGS for each in (node.outputs or {}).get("artifacts") or [])
        wanted = not self._args.node or node in chosen(self._run, self._args.node, [node])
        for text in self._server.archived_log(self._run.name, node.id) if kept and wanted else ():
            if not is_argos_own(text):
                self._print(pod, text)
        return kept

    def _print(self, pod: str, text: str) -> None:
        from tiphys.cli.logs import chosen
        from tiphys.engine.argo_read import run_of

        if pod not in self._pods:  # it began after we looked
            self._run = run_of(self._server.workflow(self._run.name))
            self._pods = _pods(self._run)
        node = self._pods.get(pod)
        if node is None or not self._args.node or node in chosen(self._run, self._args.node, [node]):
            self._printer.line(node.display_name if node else pod, "", text)
            sys.stdout.flush()


def _pods(run: RunState) -> dict[str, Node]:
    """The nodes that have a pod, by its name."""
    from tiphys.engine.argo_get import pod_of

    return {pod_of(run, node): node for node in run.nodes.values() if node.type == "Pod"}


def retry(args: argparse.Namespace, server: ArgoServer) -> int:
    """Run again what failed."""
    from tiphys.cli.manifests import parse_parameters
    from tiphys.cli.retry import check_selector

    check_selector(args)
    name = _name(server, args.run)
    before = server.workflow(name)
    after = server.retry(name, parse_parameters(args.parameter), args.node_field_selector)
    say(f"running again in {name}: {', '.join(_again(before, after)) or 'what did not begin'}")
    return _went(args, server, after)


def resubmit(args: argparse.Namespace, server: ArgoServer) -> int:
    """Run the same once more, as a new run."""
    from tiphys.cli.manifests import parse_parameters
    from tiphys.cluster import ClusterError

    if args.name:
        msg = "--name: an Argo server names a resubmitted run itself: leave it out"
        raise ClusterError(msg)
    old = _name(server, args.run)
    new = server.resubmit(old, parse_parameters(args.parameter), memoized=args.memoized)
    say(f"{old} runs once more as {new['metadata']['name']}")
    return _went(args, server, new)


def stop(args: argparse.Namespace, server: ArgoServer) -> int:
    """End a run, or fail suspended steps."""
    from tiphys.engine.argo_read import run_of

    run = run_of(workflow_of(server, args.run))
    if run.done:
        say(f"run {run.name} has ended already")
    elif args.node_field_selector:
        server.stop(run.name, args.node_field_selector, args.message)
        say(f"asked {run.name} to fail the steps with {args.node_field_selector}")
    elif args.terminate:
        server.terminate(run.name)
        say(f"asked {run.name} to terminate")
    else:
        server.stop(run.name)
        say(f"asked {run.name} to stop")
    return 0


def terminate(args: argparse.Namespace, server: ArgoServer) -> int:
    """End a run without exit handlers."""
    args.terminate, args.node_field_selector = True, ""
    return stop(args, server)


def suspend(args: argparse.Namespace, server: ArgoServer) -> int:
    """Start nothing more in a run."""
    name = _name(server, args.run)
    server.suspend(name)
    say(f"{name} is suspended")
    return 0


def resume(args: argparse.Namespace, server: ArgoServer) -> int:
    """Let a suspended run, or suspended steps, go on."""
    from tiphys.cli.manifests import parse_parameters
    from tiphys.cli.resume import selector_of
    from tiphys.engine.argo_read import run_of
    from tiphys.engine.control import select_suspended

    run = run_of(workflow_of(server, args.run))
    if run.done:
        say(f"run {run.name} has ended: {run.phase}: `tiphys retry {run.name}{flags(args)}` runs what failed again")
        return 0 if run.phase == "Succeeded" else 1
    parameters, selector = parse_parameters(args.parameter), selector_of(run, args)
    waiting = select_suspended(run, selector, parameters)
    if parameters:
        for node in waiting:
            server.set_outputs(run.name, f"id={node.id}", parameters)
    server.resume(run.name, selector)
    names = ", ".join(node.display_name for node in waiting) or ("the run" if run.suspended else "")
    say(f"asked {run.name} to go on: {names}" if names else f"{run.name} goes on: nothing waits to be resumed")
    return 0


def replay(args: argparse.Namespace, server: ArgoServer) -> int:
    """Run a step once more, here."""
    from tiphys.cli.replay import on_server

    return on_server(args, server, workflow_of(server, args.run))


def delete(args: argparse.Namespace, server: ArgoServer) -> int:
    """Delete what was named, or what passes the filters."""
    from tiphys.cli.delete import by_filter
    from tiphys.cli.list_ import passing

    names = [_name(server, each) for each in args.runs]
    if by_filter(args):
        every, labels = _summaries(server)
        names += [run.name for run in passing(every, lambda run: labels[run.name], args)]
    for name in dict.fromkeys(names):
        if not args.dry_run:
            server.delete(name)
        print(f"{name} {'would be deleted' if args.dry_run else 'deleted'}")
    return 0


def wait(args: argparse.Namespace, server: ArgoServer, name: str) -> int:
    """Show a run until it has ended; 0 only if it Succeeded. Ctrl-C leaves it running."""
    from tiphys.engine.tree import LiveTree, verdict

    colour, pending = in_colour(args), _Waiting()
    tree = LiveTree(colour=colour)

    def show(run: RunState) -> None:
        tree(run, list(run.nodes.values()))
        pending.tell(run)

    try:
        run = _shown(server, name, show)
    except KeyboardInterrupt:
        say(f"{name} goes on there. Look at it: tiphys watch {name}{flags(args)}")
        say(f"                      End it:     tiphys stop {name}{flags(args)}")
        return 130
    print("\n".join(verdict(run, colour=colour)))
    for line in _last_words(server, run):
        print(f"    {line}")
    outputs = {each["name"]: each.get("value", "") for each in (run.outputs or {}).get("parameters") or []}
    if outputs.get("summary-text"):
        print(f"\n{outputs['summary-text']}")
    print(f"try       tiphys get {name}{flags(args)}")
    return 0 if run.phase == "Succeeded" else 1


class _Waiting:
    """Says once what a step waits for that has not begun: an image that can't be pulled, no room on any node."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def tell(self, run: RunState) -> None:
        """Say what is new."""
        for node in run.nodes.values():
            if node.type == "Pod" and node.phase == "Pending":
                why = _why(run, node, time.time())
                if why and self._said.get(node.id) != _gist(why):
                    self._said[node.id] = _gist(why)
                    say(f"{node.display_name} waits: {why}")


def _why(run: RunState, node: Node, now: float) -> str:
    """Why a pod has not begun; empty while it is only on its way."""
    from tiphys.engine.argo_get import pod_of

    message = " ".join(node.message.split())
    if message and message not in _ON_ITS_WAY:
        return message
    if node.started and now - node.started > _LONG:
        return f"longer than {_LONG:.0f} s: `kubectl -n {run.namespace} describe pod {pod_of(run, node)}` says why"
    return ""


def _gist(message: str) -> str:
    """What stays the same of a message that Kubernetes words anew at each attempt."""
    return message.split(":", maxsplit=1)[0]


def _last_words(server: ArgoServer, run: RunState) -> list[str]:
    """The end of the log of the step to blame."""
    from tiphys.cluster import ClusterError
    from tiphys.cluster.logs import lines
    from tiphys.engine.argo_get import pod_of
    from tiphys.engine.tree import LOG_LINES, culprit

    failed = culprit(run) if run.phase != "Succeeded" else None
    if failed is None or failed.type != "Pod":
        return []
    try:
        return [line.text for line in deque(lines(server, run.name, pod_of(run, failed)), maxlen=LOG_LINES)]
    except ClusterError:
        return []  # the pod is gone, or never was


def _shown(server: ArgoServer, name: str, show: Any) -> RunState:
    """Show a run until it has ended; how it ended."""
    run: RunState
    for run in _runs(server, name):
        show(run)
    return run


def _runs(server: ArgoServer, name: str) -> Iterator[RunState]:
    from tiphys.cluster.follow import follow
    from tiphys.engine.argo_read import run_of

    return (run_of(workflow) for workflow in follow(server, name, told=say))


def _went(args: argparse.Namespace, server: ArgoServer, workflow: Json) -> int:
    """What follows a run that goes on there: watching it if that is wanted."""
    name = workflow["metadata"]["name"]
    if args.wait:
        return wait(args, server, name)
    if args.output == "json":
        import json

        print(json.dumps(workflow, indent=2, ensure_ascii=False))
    else:
        say(f"watch it: tiphys watch {name}{flags(args)}")
    return 0


def _again(before: Json, after: Json) -> list[str]:
    """The steps that a retry took away, or opened again."""
    ended = ("Succeeded", "Failed", "Error", "Skipped", "Omitted")
    left = after["status"].get("nodes") or {}
    return [
        node["displayName"]
        for key, node in (before["status"].get("nodes") or {}).items()
        if node.get("type") == "Pod"
        and node.get("phase") in ended
        and (left.get(key) or {}).get("phase") not in ended
        and ".onExit" not in node["name"]
    ]


def workflow_of(server: ArgoServer, wanted: str) -> Json:
    """The Workflow that a person means. Raises NotThereError that names the nearest."""
    from tiphys.cluster.errors import NotThereError

    if wanted != LATEST:
        try:
            return server.workflow(wanted)
        except NotThereError as error:
            if wanted not in str(error):
                raise
    return server.workflow(_name(server, wanted))


def _name(server: ArgoServer, wanted: str) -> str:
    """The name of the run that `wanted` stands for. Raises NotThereError that names the nearest."""
    from tiphys.cluster.errors import NotThereError

    known = [each["metadata"]["name"] for each in server.workflows("items.metadata")]
    if wanted == LATEST and known:
        return str(known[0])
    if wanted in known:
        return wanted
    where = f"in namespace {server.namespace} of {server.access.url}"
    raise NotThereError(nearest(wanted, known, where))


def _summaries(server: ArgoServer) -> tuple[list[Summary], dict[str, dict[str, str]]]:
    """Every run, the latest first, and the labels of each."""
    from tiphys.engine.argo_read import seconds
    from tiphys.engine.journal import Summary

    found, labels = [], {}
    for each in server.workflows(_LISTED):
        metadata, status = each["metadata"], each.get("status") or {}
        created, ended = seconds(metadata.get("creationTimestamp")), seconds(status.get("finishedAt"))
        found.append(Summary(metadata["name"], status.get("phase") or "", created, ended, ""))
        labels[metadata["name"]] = metadata.get("labels") or {}
    return found, labels
