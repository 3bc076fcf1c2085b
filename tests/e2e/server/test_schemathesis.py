"""A tester that makes requests from the server's own OpenAPI document finds nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.server.conftest import Served

pytestmark = [pytest.mark.e2e, pytest.mark.long]
# A manifest of the right shape may still make no sense, and 400 says so: that positive data is always taken can't hold.
# Fields that are not known are passed over, as grpc-gateway does, where they are not a manifest's.
EXCLUDED = "positive_data_acceptance,negative_data_rejection"


def _is_left_out(operation: dict[str, Any]) -> bool:
    """501 is the honest answer for what is not here, and streams have no end: other tests hold both."""
    answers = operation["responses"]
    return "501" in answers or "text/event-stream" in answers["200"].get("content", {})


def test_schemathesis_finds_nothing(server: Served, tmp_path: Path) -> None:
    """No 5xx, no answer that the document does not have, no route without a token, no unknown method."""
    server.submit("true", name="known")
    document = server.get("/openapi.json")
    for path, operations in list(document["paths"].items()):
        if any(_is_left_out(operation) for operation in operations.values()):
            del document["paths"][path]
    (tmp_path / "openapi.json").write_text(json.dumps(document))

    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", tmp_path / "openapi.json", "--url", server.url,
            "--header", f"Authorization: Bearer {server.tokens['admin']}", "--exclude-checks", EXCLUDED,
            "--max-examples", "20", "--phases", "examples,coverage,fuzzing", "--workers", "1", "--no-color", "--suppress-health-check", "all",
        ],
        capture_output=True, text=True, check=False, timeout=800, cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
    assert server.get("/api/v1/info")
