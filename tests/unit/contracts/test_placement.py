"""Between a laptop and a cluster only namespace, registry and tag differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tiphys import __version__
from tiphys.errors import PermanentError
from tiphys.placement import settle
from tiphys.settings import PROJECT

pytestmark = pytest.mark.unit
RENDERED = sorted((PROJECT / "workflows" / "rendered").glob("*.yaml"))


def _documents(file: Path) -> list[dict[str, Any]]:
    return list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every value of a document by its path."""
    if isinstance(value, dict):
        return {place: leaf for key, inner in value.items() for place, leaf in _leaves(inner, f"{path}.{key}").items()}
    if isinstance(value, list):
        named = ((inner.get("name", n) if isinstance(inner, dict) else n, inner) for n, inner in enumerate(value))
        return {place: leaf for key, inner in named for place, leaf in _leaves(inner, f"{path}[{key}]").items()}
    return {path: value}


@pytest.mark.parametrize("file", RENDERED, ids=lambda file: file.stem)
def test_a_place_changes_namespace_registry_and_tag_and_nothing_else(file: Path) -> None:
    """The difference is printed (`pytest -s`), and it is exactly the images and the namespace."""
    here = _documents(file)
    there = settle(here, registry="registry.example.org:5000/team", tag="1.2.3", namespace="ml")
    for before, after in zip(here, there, strict=True):
        old, new = _leaves(before), _leaves(after)
        changed = {place: new[place] for place in new if old.get(place) != new[place]}
        print("\n".join(f"{place}: {old.get(place)} -> {value}" for place, value in changed.items()))  # noqa: T201
        assert not old.keys() - new.keys()
        assert changed.pop(".metadata.namespace") == "ml"
        assert all(place.endswith(".image") for place in changed)
        for place, image in changed.items():
            assert image == f"registry.example.org:5000/team/{old[place].removesuffix(__version__)}1.2.3"


@pytest.mark.parametrize("file", RENDERED, ids=lambda file: file.stem)
def test_without_a_place_nothing_changes(file: Path) -> None:
    """The laptop runs the rendered file as it is, and the documents given are never changed."""
    assert settle(_documents(file)) == _documents(file)
    given = _documents(file)
    settle(given, registry="r:5000", tag="t", namespace="n")
    assert given == _documents(file)


def test_images_of_others_stay() -> None:
    """A registry and a tag are for our images; a server's own image is not moved."""
    template = {"name": "t", "container": {"image": "busybox:1.36"}, "sidecars": [{"image": "tiphys/triton:0.1.0"}]}
    (found,) = settle([{"kind": "Workflow", "spec": {"templates": [template]}}], registry="r:5000", tag="2")
    (moved,) = found["spec"]["templates"]
    assert moved["container"]["image"] == "busybox:1.36"
    assert moved["sidecars"][0]["image"] == "r:5000/tiphys/triton:2"


def test_what_is_for_the_whole_cluster_gets_no_namespace() -> None:
    """A ClusterWorkflowTemplate belongs to none; a CronWorkflow's images are moved like any."""
    spec = {"workflowSpec": {"templates": [{"name": "t", "container": {"image": "tiphys/etl:0.1.0"}}]}}
    wide, cron = settle(
        [{"kind": "ClusterWorkflowTemplate"}, {"kind": "CronWorkflow", "spec": spec}], namespace="ml", tag="9"
    )
    assert "metadata" not in wide
    assert cron["metadata"]["namespace"] == "ml"
    assert cron["spec"]["workflowSpec"]["templates"][0]["container"]["image"] == "tiphys/etl:9"


@pytest.mark.parametrize(
    "place",
    [
        {"registry": "https://registry.example.org"},
        {"registry": "r/"},
        {"tag": "a b"},
        {"tag": "-x"},
        {"namespace": "Ml"},
    ],
)
def test_a_place_that_none_can_be_is_refused(place: dict[str, str]) -> None:
    """The message names what was wrong with what was given."""
    with pytest.raises(PermanentError, match=next(iter(place))):
        settle([], **place)
