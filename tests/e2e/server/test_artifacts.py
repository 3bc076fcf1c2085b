"""Artifacts over HTTP: files, folders, inputs, and what a hostile step leaves in them."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from tests.e2e.server.conftest import Served

pytestmark = pytest.mark.e2e
RUNS = "/api/v1/workflows/default"
MAKE = """
mkdir -p /tmp/tree/inner; echo text > /tmp/plain.txt; echo '<script>alert(1)</script>' > /tmp/tree/page.html
echo deep > /tmp/tree/inner/deep.txt; ln -s /etc/passwd /tmp/tree/passwd; ln -s /etc /tmp/tree/etc; ln -s inner/deep.txt /tmp/tree/inside
"""


def _archived(kind: str, name: str, path: str) -> dict[str, Any]:
    archive = {"archive": {"none": {}}} if kind == "none" else {}
    return {"name": name, "path": path, **archive}


@pytest.fixture(scope="module")
def run(server: Served) -> tuple[str, str, str]:
    """A run that has made artifacts: its name, its uid, and the node that takes them in."""
    outputs = [
        _archived("none", "plain", "/tmp/plain.txt"),
        _archived("none", "tree", "/tmp/tree"),
        _archived("tar", "packed", "/tmp/tree/inner"),
    ]
    taken = [{"name": "plain", "path": "/tmp/in.txt", "from": "{{steps.make.outputs.artifacts.plain}}"},
             {"name": "said", "path": "/tmp/said.txt", "raw": {"data": "raw words"}}]  # fmt: skip
    templates = [
        {"name": "main", "steps": [[{"name": "make", "template": "make"}], [{"name": "take", "template": "take", "arguments": {"artifacts": [
            {key: value for key, value in each.items() if key != "path"} for each in taken]}}]]},
        {"name": "make", "container": {"image": "alpine", "command": ["sh", "-c"], "args": [MAKE]}, "outputs": {"artifacts": outputs}},
        {"name": "take", "container": {"image": "alpine", "command": ["true"]},
         "inputs": {"artifacts": [{"name": each["name"], "path": each["path"]} for each in taken]}},
    ]  # fmt: skip
    workflow = {"metadata": {"generateName": "artifacts-"}, "spec": {"entrypoint": "main", "templates": templates}}
    status, made, _ = server.ask("POST", RUNS, {"workflow": workflow})
    assert status == 200, made
    found = server.wait(made["metadata"]["name"])
    assert found["status"]["phase"] == "Succeeded", found["status"]
    node = {each["displayName"]: each["id"] for each in found["status"]["nodes"].values()}
    return (
        f"{found['metadata']['name']}/{node['make']}",
        f"{found['metadata']['uid']}/{node['make']}",
        f"{found['metadata']['name']}/{node['take']}",
    )


def test_a_file_comes_as_it_is_and_no_script_in_it_would_run(server: Served, run: tuple[str, str, str]) -> None:
    """By name and by uid, with a policy that lets a browser run nothing."""
    for path in (f"/artifacts/default/{run[0]}/plain", f"/artifacts-by-uid/{run[1]}/plain", f"/artifact-files/default/workflows/{run[0]}/outputs/plain",
                 f"/artifact-files/default/archived-workflows/{run[1]}/outputs/plain"):  # fmt: skip
        status, content, headers = server.ask("GET", path)
        assert (status, content) == (200, b"text\n")
        assert headers["content-security-policy"].startswith("sandbox")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-disposition"] == 'filename="plain.txt"'


def test_a_run_says_which_store_its_artifacts_are_in(server: Served, run: tuple[str, str, str]) -> None:
    """Argo's web UI reads the run's store before it shows an artifact."""
    found = server.get(f"{RUNS}/{run[0].partition('/')[0]}")

    assert found["status"]["artifactRepositoryRef"] == {"default": True, "artifactRepository": {}}


def test_inputs_come_too(server: Served, run: tuple[str, str, str]) -> None:
    """What another step made, and what stands in the manifest."""
    assert server.ask("GET", f"/input-artifacts/default/{run[2]}/plain")[1] == b"text\n"
    assert server.ask("GET", f"/input-artifacts/default/{run[2]}/said")[1] == b"raw words"


def test_a_folder_comes_as_one_archive(server: Served, run: tuple[str, str, str]) -> None:
    """Packed when it is asked for; one that is stored packed comes as it is stored."""
    status, content, headers = server.ask("GET", f"/artifacts/default/{run[0]}/tree")
    packed = server.ask("GET", f"/artifacts/default/{run[0]}/packed")[1]

    assert (status, headers["content-type"]) == (200, "application/gzip")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getmember("tree/passwd").issym()
        assert archive.extractfile("tree/inner/deep.txt").read() == b"deep\n"  # type: ignore[union-attr]
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert any(name.endswith("deep.txt") for name in archive.getnames())


def test_a_folder_is_browsed_and_a_link_out_of_it_leads_nowhere(server: Served, run: tuple[str, str, str]) -> None:
    """Its page lists what is in it; a link inside works, one outside is not found."""
    base = f"/artifact-files/default/workflows/{run[0]}/outputs/tree"

    status, _, headers = server.ask("GET", base)
    page = server.ask("GET", f"{base}/")

    assert (status, headers["location"]) == (307, f"{base}/")
    assert b"./page.html" in page[1]
    assert page[2]["content-security-policy"].startswith("sandbox")
    assert server.ask("GET", f"{base}/inner/deep.txt")[1] == b"deep\n"
    assert server.ask("GET", f"{base}/inside")[1] == b"deep\n"
    for path in ("passwd", "etc/passwd", "..%2f..%2fplain", "%2e%2e/plain", "inner/%2e%2e/%2e%2e/x", "%00"):
        status, _, _ = server.ask("GET", f"{base}/{path}")
        assert (path, status) in ((path, 404), (path, 400))


@pytest.mark.parametrize("path", ["nothing/nothing/x", "{run}/nothing"])
def test_what_is_not_there_is_not_found(server: Served, run: tuple[str, str, str], path: str) -> None:
    """404 as JSON."""
    status, found, _ = server.ask("GET", f"/artifacts/default/{path.replace('{run}', run[0])}")

    assert (status, found["code"]) == (404, 5)
