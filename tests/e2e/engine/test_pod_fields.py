"""Smaller fields of a pod: parts of volumes, projected volumes, what a container may know of its pod, labelsFrom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, RunState

pytestmark = pytest.mark.e2e
Run = Callable[..., RunState]
HEAD = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf, namespace: here}
spec:
  entrypoint: main
"""


def parameter(run: RunState) -> Any:
    """The first output parameter of the only node."""
    return (run.nodes["wf"].outputs or {})["parameters"][0]["value"]


def test_a_mount_may_show_a_part_of_a_volume(run: Run, engine: Engine) -> None:
    """A key of a ConfigMap as one file; a folder of an emptyDir, made where it is missing, also by subPathExpr."""
    engine.objects.apply({"kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"a.ini": "A", "b.ini": "B"}})
    done = run(
        HEAD
        + """
  volumes: [{name: conf, configMap: {name: conf}}, {name: work, emptyDir: {}}]
  templates:
  - name: main
    container:
      image: debian:12
      command: [sh, -c, "touch /one/x; (cat /etc/app/only.ini; ls /all /two) | tr '\\\\n' ' ' > /tmp/o"]
      env: [{name: WHO, value: me}]
      volumeMounts:
      - {name: conf, mountPath: /etc/app/only.ini, subPath: b.ini}
      - {name: work, mountPath: /one, subPath: deep/me}
      - {name: work, mountPath: /two, subPathExpr: deep/$(WHO)}
      - {name: work, mountPath: /all}
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
"""
    )
    assert parameter(done) == "B/all: deep  /two: x "


def test_a_sub_path_stays_in_its_volume(run: Run) -> None:
    """As Kubernetes, which refuses `..`."""
    done = run(
        HEAD
        + """
  volumes: [{name: work, emptyDir: {}}]
  templates:
  - name: main
    container: {image: "debian:12", command: ["true"], volumeMounts: [{name: work, mountPath: /w, subPath: ../../..}]}
"""
    )
    assert (done.phase, "leaves the volume" in done.message) == ("Error", True)


@pytest.mark.parametrize("path", ["w", "/", "/x/../etc", "/../../w"])
def test_a_mount_is_at_a_plain_path_below_the_root(run: Run, path: str) -> None:
    """Nothing is made on this machine at a path that leads elsewhere, also if it is known only when the step starts."""
    done = run(
        HEAD
        + """
  arguments: {parameters: [{name: p}]}
  volumes: [{name: work, emptyDir: {}}]
  templates:
  - name: main
    container: {image: "debian:12", command: ["true"], volumeMounts: [{name: work, mountPath: "{{workflow.parameters.p}}"}]}
""",
        p=path,
    )
    assert (done.phase, done.message) == (
        "Error",
        f"volumeMounts 'work': mountPath '{path}': give an absolute path below /, without . and ..",
    )


def test_a_projected_volume_holds_config_maps_and_secrets_side_by_side(run: Run, engine: Engine) -> None:
    """With the items that each source names."""
    engine.objects.apply({"kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"a": "A", "b": "B"}})
    engine.objects.apply({"kind": "Secret", "metadata": {"name": "hush"}, "stringData": {"s": "S"}})
    done = run(
        HEAD
        + """
  volumes:
  - name: all
    projected: {sources: [{configMap: {name: conf, items: [{key: b, path: sub/b}]}}, {secret: {name: hush}}]}
  templates:
  - name: main
    container:
      image: debian:12
      command: [sh, -c, "cd /all; find . -type f | sort | xargs grep . | tr '\\\\n' ' ' > /tmp/o"]
      volumeMounts: [{name: all, mountPath: /all}]
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
"""
    )
    assert parameter(done) == "./s:S ./sub/b:B "


MODES = """
  volumes:
  - {name: plain, configMap: {name: conf}}
  - {name: all, configMap: {name: conf, defaultMode: 0755}}
  - {name: some, secret: {secretName: hush, defaultMode: 0400, items: [{key: run, path: bin/run, mode: 0500}, {key: key, path: key}]}}
  - name: both
    projected: {defaultMode: 0750, sources: [{configMap: {name: conf, items: [{key: run, path: a}]}}]}
  templates:
  - name: main
    container:
      image: debian:12
      command: [sh, -c, "stat -c %a /plain/run /all/run /some/bin/run /some/key /both/a | tr '\\\\n' ' ' > /tmp/o; /all/run >> /tmp/o"]
      volumeMounts:
      - {name: plain, mountPath: /plain}
      - {name: all, mountPath: /all}
      - {name: some, mountPath: /some}
      - {name: both, mountPath: /both}
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
"""


def test_the_files_of_a_volume_have_the_mode_that_is_asked_for(run: Run, engine: Engine) -> None:
    """An item's own, else the volume's, else 0644: a script may be run, a key be hidden."""
    engine.objects.apply({"kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"run": "#!/bin/sh\necho ran\n"}})
    engine.objects.apply({"kind": "Secret", "metadata": {"name": "hush"}, "stringData": {"run": "r", "key": "k"}})
    assert parameter(run(HEAD + MODES)) == "644 755 500 400 750 ran"


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ("configMap: {name: conf, items: [{key: none, path: p}]}", "references non-existent config key: none"),
        ("secret: {secretName: hush, items: [{key: none, path: p}]}", "references non-existent secret key: none"),
        ("configMap: {name: conf, optional: true, items: [{key: none, path: p}]}", ""),
    ],
)
def test_an_item_of_a_key_that_is_not_there_is_an_error_unless_it_is_optional(
    run: Run, engine: Engine, volume: str, message: str
) -> None:
    """As the kubelet says."""
    engine.objects.apply({"kind": "ConfigMap", "metadata": {"name": "conf"}, "data": {"a": "A"}})
    engine.objects.apply({"kind": "Secret", "metadata": {"name": "hush"}, "stringData": {"a": "A"}})
    done = run(
        f"""{HEAD}
  volumes: [{{name: v, {volume}}}]
  templates:
  - name: main
    container: {{image: "debian:12", command: ["true"], volumeMounts: [{{name: v, mountPath: /v}}]}}
"""
    )
    assert (done.phase, message in done.message) == ("Error" if message else "Succeeded", True)


def test_a_container_may_know_its_pod(run: Run) -> None:
    """Names, namespace and the labels and annotations that Argo gives a pod (workflowpod.go)."""
    done = run(
        HEAD
        + """
  templates:
  - name: main
    metadata: {labels: {tier: one}}
    container:
      image: debian:12
      command: [sh, -c, "echo $POD $NS $RUN $TIER $NODE ${#UID_} > /tmp/o"]
      env:
      - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      - {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
      - {name: RUN, valueFrom: {fieldRef: {fieldPath: "metadata.labels['workflows.argoproj.io/workflow']"}}}
      - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
      - {name: NODE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['workflows.argoproj.io/node-name']"}}}
      - {name: UID_, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
"""
    )
    assert parameter(done) == "wf here wf one wf 36"


def test_what_only_a_cluster_knows_of_a_pod_is_refused(run: Run) -> None:
    """Before anything runs, with what is known."""
    with pytest.raises(
        ManifestError, match=r"main\.env\.HOST: fieldPath 'spec\.nodeName' is not known.*metadata\.name"
    ):
        run(
            HEAD
            + """
  templates:
  - name: main
    container:
      image: debian:12
      command: ["true"]
      env: [{name: HOST, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
"""
        )


LABELS = """
  workflowMetadata: {labelsFrom: {who: {expression: %s}}}
  arguments: {parameters: [{name: name, value: anna}]}
  templates:
  - name: main
    container: {image: "debian:12", command: [sh, -c, "echo {{workflow.labels.who}} > /tmp/o"]}
    outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
"""


def test_a_label_may_come_from_an_expression(run: Run) -> None:
    """Over the workflow's variables (operator.go updateWorkflowMetadata)."""
    done = run(HEAD + LABELS % "workflow.parameters.name")
    assert (parameter(done), done.labels["who"]) == ("anna", "anna")


@pytest.mark.parametrize(
    ("expression", "message"),
    [("'not a label'", "invalid label value"), ("1 + 1", "must give a text"), ("nobody", "failed to evaluate")],
)
def test_an_expression_that_gives_no_label_is_refused(run: Run, expression: str, message: str) -> None:
    """At submit; on Argo the workflow ends in Error."""
    with pytest.raises(ManifestError, match=message):
        run(HEAD + LABELS % f'"{expression}"')
