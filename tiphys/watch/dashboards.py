"""Grafana's dashboards and Prometheus' alert rules as code: from the names of our metrics to the files that are deployed.

``files()`` gives each file's path below helm/ and its text; `tiphys render` writes them and CI compares. The metrics of
drift come from the step ``monitor`` and are scraped from the governor; those of the gateway, from its own /metrics.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

FOLDER = "helm"
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT = 12, 8
_OWN = 'use_case="$use_case"'
_QUIET_HOURS = 26
"""A daily watch that has not looked for so long has failed."""


def files() -> dict[str, str]:
    """Path below ``helm/`` -> content."""
    return {
        "dashboards/drift.json": _json(drift()),
        "prometheus/drift-rules.yaml": _yaml(rules()),
        "prometheus/alertmanager.example.yaml": _ALERTMANAGER,
        "prometheus/prometheus.example.yaml": _PROMETHEUS,
    }


def drift() -> dict[str, Any]:
    """The dashboard of what monitor found."""
    panels = (
        _graph("Alarms", "1 for each thing that alarms", (("tiphys_drift_alarm{%s} > 0", "{{kind}} {{subject}}"),)),
        _graph(
            "Evidence of errors",
            "share of the limit of each running test; 1 is an alarm",
            (('tiphys_drift_evidence{%s,slice="all"}', "{{direction}}"),),
        ),
        _graph(
            "Mean absolute error",
            "in the window, where evaluated, and expected before truths are known; the target's unit",
            (
                ('tiphys_drift_error{%s,slice="all"}', "live"),
                ('tiphys_drift_error_reference{%s,slice="all"}', "evaluated"),
                ("tiphys_drift_error_expected{%s}", "expected"),
            ),
        ),
        _graph("Error by slice", "in the window, the target's unit", (("tiphys_drift_error{%s}", "{{slice}}"),)),
        _graph(
            "Columns", "population stability index; 0.1 and more is a shift", (("tiphys_drift_psi{%s}", "{{column}}"),)
        ),
        _graph("Truths within intervals", "80 % are stated", (('tiphys_drift_coverage{%s,slice="all"}', "share"),)),
        _graph(
            "Rows of the last day",
            "share of what its hours lead to expect",
            (("tiphys_drift_volume_ratio{%s}", "ratio"),),
        ),
        _graph(
            "Truths",
            "answers of the watched model with a known truth",
            (("tiphys_drift_labelled_rows{%s}", "{{slice}}"),),
        ),
    )
    return _dashboard("tiphys-drift", "Tiphys: drift", panels)


def rules() -> dict[str, Any]:
    """Alert rules: what monitor found, and that it looks at all."""
    found = "monitor found {{ $labels.kind }} drift of {{ $labels.subject }} in {{ $labels.use_case }}"
    return {
        "groups": [
            {
                "name": "tiphys-drift",
                "rules": [
                    _rule("TiphysDrift", 'tiphys_drift_alarm{severity="critical"} == 1', "critical", found),
                    _rule("TiphysDriftWarning", 'tiphys_drift_alarm{severity="warning"} == 1', "warning", found),
                    _rule(
                        "TiphysNotWatched",
                        f"time() - tiphys_drift_last_run_seconds > {_QUIET_HOURS} * 3600",
                        "critical",
                        "nobody has looked at {{ $labels.use_case }} for more than a day: is drift-watch suspended?",
                    ),
                    _rule(
                        "TiphysNeverWatched",
                        "absent(tiphys_drift_last_run_seconds)",
                        "warning",
                        "no figures of drift are scraped",
                    ),
                ],
            }
        ]
    }


def _rule(name: str, expression: str, severity: str, summary: str) -> dict[str, Any]:
    return {"alert": name, "expr": expression, "labels": {"severity": severity}, "annotations": {"summary": summary}}


def _dashboard(uid: str, title: str, panels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    placed = [
        {
            **each,
            "id": number + 1,
            "gridPos": {"h": _HEIGHT, "w": _WIDTH, "x": _WIDTH * (number % 2), "y": _HEIGHT * (number // 2)},
        }
        for number, each in enumerate(panels)
    ]
    variables = [
        {"name": "source", "label": "source", "type": "datasource", "query": "prometheus"},
        {
            "name": "use_case", "label": "use case", "type": "query", "datasource": _SOURCE, "refresh": 2,
            "query": "label_values(tiphys_drift_rows, use_case)",
        },
    ]  # fmt: skip
    return {
        "uid": uid, "title": title, "tags": ["tiphys"], "schemaVersion": 39, "editable": False, "refresh": "1m",
        "time": {"from": "now-14d", "to": "now"}, "templating": {"list": variables}, "panels": placed,
    }  # fmt: skip


def _graph(title: str, description: str, series: Sequence[tuple[str, str]]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": _SOURCE,
            "expr": query.replace("%s", _OWN),
            "legendFormat": legend,
        }
        for number, (query, legend) in enumerate(series)
    ]
    return {"type": "timeseries", "title": title, "description": description, "datasource": _SOURCE, "targets": targets}


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"


def _yaml(content: Any) -> str:
    import yaml  # noqa: PLC0415 - for who renders

    return str(yaml.safe_dump(content, sort_keys=False, width=120))


_ALERTMANAGER = """\
# How Alertmanager hands alerts to the governor, which decides whether to train. The token stands in a file of its own. What names no
# kind of drift, as TiphysNotWatched, is for people: give them a receiver.
route:
  receiver: people
  group_by: [alertname, use_case, kind, subject]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 24h
  routes:
    - receiver: governor
      matchers: [use_case!="", kind!=""]
receivers:
  - name: people
  - name: governor
    webhook_configs:
      - url: http://127.0.0.1:7029/v1/alertmanager
        send_resolved: false
        http_config:
          authorization:
            type: Bearer
            credentials_file: /etc/alertmanager/governor-token
"""

_PROMETHEUS = """\
# What Prometheus scrapes: the governor's own figures, and those of drift, which monitor sends it and it keeps in its database.
global:
  evaluation_interval: 1m
rule_files: [drift-rules.yaml]
alerting:
  alertmanagers:
    - static_configs:
        - targets: ["127.0.0.1:9093"]
scrape_configs:
  - job_name: tiphys-governor
    static_configs:
      - targets: ["127.0.0.1:7029"]
  - job_name: tiphys-drift
    metrics_path: /metrics/drift
    static_configs:
      - targets: ["127.0.0.1:7029"]
"""
