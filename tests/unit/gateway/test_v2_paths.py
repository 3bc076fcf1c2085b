"""Paths of the V2 inference protocol: a short list, matched as they are sent."""

from __future__ import annotations

import pytest

from tiphys.serving.gateway.v2_paths import parse

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("path", "environment", "of_triton"),
    [
        ("/v2", "production", "/v2"),
        ("/v2/health/live", "production", "/v2/health/live"),
        ("/canary/v2/health/ready", "canary", "/v2/health/ready"),
        ("/v2/models/taxi_eta", "production", "/v2/models/taxi_eta/versions/7"),
        ("/v2/models/taxi_eta/infer", "production", "/v2/models/taxi_eta/versions/7/infer"),
        ("/staging/v2/models/taxi_eta/versions/3/ready", "staging", "/v2/models/taxi_eta/versions/7/ready"),
        ("/v2/models/a/config", "production", "/v2/models/a/versions/7/config"),
    ],
)
def test_a_known_path_is_built_anew_for_triton_with_the_version_that_answers(
    path: str, environment: str, of_triton: str
) -> None:
    """Nothing of what was sent travels but the model's name."""
    found = parse(path)
    assert found is not None
    assert found.environment == environment
    assert found.of_triton("7") == of_triton


@pytest.mark.parametrize(
    "path",
    [
        "/v2/", "/V2", "/v2/health", "/v2/health/live/", "/v2//models/m/infer", "/v2/models/../repository/index",
        "/v2/models/%2e%2e/repository", "/v2/models/m%2finfer", "/v2/models/m/infer/", "/v2/models/M/infer",
        "/v2/models/m/versions//infer", "/v2/models/m/versions/-1/infer", "/v2/models/m/versions/1e3/infer",
        "/v2/models/m/versions/1234567890123456789/infer", "/v2/models/m/generate", "/v2/models/m/stats",
        "/v2/models/m/trace/setting", "/v2/models/stats", "/v2/repository/index", "/v2/repository/models/m/unload",
        "/v2/systemsharedmemory/status", "/v2/cudasharedmemory/region/x/register", "/v2/logging", "/v2/trace/setting",
        "/metrics", "/canary/v2/repository/index", "/production/v2", "/v2/models/m\n/infer", "/v2/models/m/infer\n",
        "/v2/models/\u0661/infer", "/v2/models/m/versions/\u0661/infer", "/v2\\models", "/v2/./models/m",
    ],
)  # fmt: skip
def test_every_other_path_is_nobodys(path: str) -> None:
    """Control, shared memory, traces, statistics, streams, and tricks with dots, slashes, cases and digits."""
    found = parse(path)
    assert found is None or (found.server, found.model, found.verb) == ("", "stats", "")
