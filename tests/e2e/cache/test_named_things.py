"""A name stands for what it names now: on real servers, with names that move and things that are deleted or changed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest

from tests.e2e.cache.conftest import Project, on_project
from tiphys.lake.catalog import Lake
from tiphys.model_files import FILE, FOLDER
from tiphys.settings import CatalogSettings, S3Settings, TrackingSettings, load
from tiphys.stack.config import documents
from tiphys.tracking import Tracking, Version

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("stack")]
Ask = Callable[..., tuple[str, str]]


@pytest.fixture
def project(tmp_path: Path, stack: Any) -> Project:
    """A small project whose steps and cache know the session's servers."""
    made = on_project(tmp_path / "project", tmp_path / "state", stack.settings.home)
    made.engine.apply(documents(stack.config, stack.secrets))
    return made


@pytest.fixture
def ask(project: Project) -> Ask:
    """``ask("models:/a@b", inputs="model")`` runs the step that gives its input back; its verdict, and why."""

    def run(name: str, **kinds: Any) -> tuple[str, str]:
        said = {
            section.replace("_", "-"): {kind: "number"} if section in ("looks_at", "leaves") else {"number": kind}
            for section, kind in kinds.items()
        }
        step = project.step(
            "name",
            annotations={"tiphys/evidence": json.dumps(said)},
            envFrom=[{"configMapRef": {"name": "tiphys"}}],
        )
        step["inputs"]["parameters"][0]["default"] = name
        run = project.run(step)
        assert run.phase == "Succeeded", run.message
        told = project.told(run)
        return told.verdict, told.reason or told.kept

    return run


@pytest.fixture
def objects(stack: Any) -> Callable[[str, bytes | None], None]:
    """``objects("a/b", b"...")`` writes below s3://landing/; None deletes."""
    client = stack.s3("cli")

    def put(key: str, content: bytes | None) -> None:
        if content is None:
            client.remove_object(bucket_name="landing", object_name=key)
        else:
            client.put_object(bucket_name="landing", object_name=key, data=io.BytesIO(content), length=len(content))

    return put


@pytest.fixture
def prefix() -> str:
    """A folder of the landing bucket that nobody else uses."""
    return f"cache-{uuid4().hex[:8]}"


def test_a_prefix_counts_by_its_objects(ask: Ask, objects: Callable[..., None], prefix: str) -> None:
    """Other bytes of the same size, one more, one less: each is a miss; the old ones again are a hit."""
    name = f"s3://landing/{prefix}/"
    objects(f"{prefix}/a", b"one")
    assert ask(name, inputs="s3-prefix")[0] == "miss"
    assert ask(name, inputs="s3-prefix")[0] == "hit"
    objects(f"{prefix}/a", b"two")
    verdict, reason = ask(name, inputs="s3-prefix")
    assert (verdict, reason.startswith("content of number is 1 objects ")) == ("miss", True)
    objects(f"{prefix}/b", b"")
    assert ask(name, inputs="s3-prefix")[0] == "miss"
    objects(f"{prefix}/b", None)
    objects(f"{prefix}/a", b"one")
    assert ask(name, inputs="s3-prefix")[0] == "hit"


def test_an_object_behind_an_output_that_is_deleted_or_replaced_is_a_miss(
    ask: Ask, objects: Callable[..., None], prefix: str
) -> None:
    """It names the object."""
    name = f"s3://landing/{prefix}/model#sha256=abc"
    objects(f"{prefix}/model", b"weights")
    assert [ask(name, outputs="s3-object")[0] for _ in range(2)] == ["miss", "hit"]
    objects(f"{prefix}/model", b"weighty")
    assert "its output number does not hold any more" in ask(name, outputs="s3-object")[1]
    objects(f"{prefix}/model", None)
    verdict, reason = ask(name, outputs="s3-object")
    assert verdict == "miss"
    assert f"{prefix}/model" in reason


def test_a_manifest_counts_with_all_that_it_lists(ask: Ask, objects: Callable[..., None], prefix: str) -> None:
    """A file that is gone behind it is a miss, though the manifest is as it was."""
    listed = {"files": [{"uri": f"s3://landing/{prefix}/raw.csv"}]}
    objects(f"{prefix}/raw.csv", b"rows")
    objects(f"{prefix}/manifest.json", json.dumps(listed).encode())
    name = f"s3://landing/{prefix}/manifest.json"
    assert [ask(name, outputs="s3-manifest")[0] for _ in range(2)] == ["miss", "hit"]
    objects(f"{prefix}/raw.csv", None)
    assert f"{prefix}/raw.csv" in ask(name, outputs="s3-manifest")[1]


def test_without_its_servers_nothing_is_used(
    ask: Ask, project: Project, objects: Callable[..., None], prefix: str
) -> None:
    """What can't be asked can't be proven: the step runs."""
    objects(f"{prefix}/a", b"one")
    name = f"s3://landing/{prefix}/"
    assert ask(name, inputs="s3-prefix")[0] == "miss"
    project.engine.objects.delete("Secret", "tiphys-cache")
    verdict, reason = ask(name, inputs="s3-prefix")
    assert verdict == "not cached"
    assert "TIPHYS_S3_ACCESS_KEY" in reason


@pytest.fixture
def tracking(stack: Any) -> Tracking:
    """The session's MLflow."""
    return Tracking(load(TrackingSettings, stack.config))


def register(tracking: Tracking, name: str, weights: bytes) -> Version:
    """A version as evaluate registers it."""
    run = tracking.start_run(name, "test", {}).id
    tracking.log_artifact(run, f"{FOLDER}/{FILE}", weights)
    return tracking.register(name, run, FOLDER, {"sha256": hashlib.sha256(weights).hexdigest()})


def test_a_moved_alias_is_a_miss_that_names_the_new_version(ask: Ask, tracking: Tracking) -> None:
    """The alias is resolved first; back at the old version the old result is there."""
    name = f"kettle_{uuid4().hex[:8]}"
    versions = [register(tracking, name, weights) for weights in (b"one", b"two")]

    def point(version: Version) -> None:
        body = {"name": name, "alias": "champion", "version": str(version.number)}
        tracking._call("POST", "registered-models/alias", body)

    point(versions[0])
    asked = f"models:/{name}@champion"
    assert [ask(asked, inputs="model")[0] for _ in range(2)] == ["miss", "hit"]
    point(versions[1])
    verdict, reason = ask(asked, inputs="model")
    assert verdict == "miss"
    assert f"content of number is models:/{name}/2 " in reason
    point(versions[0])
    assert ask(asked, inputs="model")[0] == "hit"


def test_a_version_whose_weights_were_replaced_or_whose_run_is_deleted_is_not_used(
    ask: Ask, tracking: Tracking
) -> None:
    """The weights are read and compared with the version's digest."""
    version = register(tracking, f"kettle_{uuid4().hex[:8]}", b"one")
    assert [ask(version.uri, outputs="model")[0] for _ in range(2)] == ["miss", "hit"]
    tracking.log_artifact(version.run, f"{FOLDER}/{FILE}", b"six")
    verdict, reason = ask(version.uri, outputs="model")
    assert verdict == "miss"
    assert "damaged" in reason
    tracking.log_artifact(version.run, f"{FOLDER}/{FILE}", b"one")
    tracking._call("POST", "runs/delete", {"run_id": version.run})
    assert f"MLflow has no run {version.run}" in ask(version.uri, outputs="model")[1]


def test_the_tags_of_a_version_and_the_files_they_have_digests_of_count_as_left_behind(
    ask: Ask, tracking: Tracking
) -> None:
    """Who exported it may change, what it was exported to may not."""
    version = register(tracking, f"kettle_{uuid4().hex[:8]}", b"one")
    tracking.attach(version, "model.onnx", b"graph")
    assert [ask(version.uri, leaves="version-tags")[0] for _ in range(2)] == ["miss", "hit"]
    tracking.tag_version(version, {"exported_by": "another-run"})
    assert ask(version.uri, leaves="version-tags")[0] == "hit"
    tracking.tag_version(version, {"repository": "s3://models/other/"})
    verdict, reason = ask(version.uri, leaves="version-tags")
    assert verdict == "miss"
    assert "what it left, version-tags, is" in reason


@pytest.fixture
def table(stack: Any) -> Any:
    """An Iceberg table with two versions, `v-1` and `v-2`."""
    environment = stack.environment("etl")
    catalog = Lake(load(CatalogSettings, environment), load(S3Settings, environment)).writer()
    name = f"cache_{uuid4().hex[:8]}"
    catalog.create_namespace(name)
    rows = pa.table({"month": ["2024-01"], "value": [1]})
    made = catalog.create_table((name, "rows"), rows.schema)
    for tag in ("v-1", "v-2"):
        made.append(rows)
        made.manage_snapshots().create_tag(made.current_snapshot().snapshot_id, tag).commit()
    return made


def test_a_dataset_tag_counts_by_its_snapshot(ask: Ask, table: Any) -> None:
    """A tag that is moved is a miss, a new version beside it is none."""
    name = f"{table.name()[0]}.rows@v-1"
    assert [ask(name, inputs="dataset", outputs="dataset")[0] for _ in range(2)] == ["miss", "hit"]
    table.append(pa.table({"month": ["2024-02"], "value": [2]}))
    assert ask(name, inputs="dataset", outputs="dataset")[0] == "hit"
    table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, "v-1").commit()
    verdict, reason = ask(name, inputs="dataset", outputs="dataset")
    assert verdict == "miss"
    assert "content of number is snapshot" in reason


def test_a_deleted_data_file_behind_a_dataset_is_a_miss_that_names_it(ask: Ask, table: Any, stack: Any) -> None:
    """The tag is still there, the rows are not."""
    name = f"{table.name()[0]}.rows@v-2"
    assert [ask(name, outputs="dataset")[0] for _ in range(2)] == ["miss", "hit"]
    path = next(iter(table.scan().plan_files())).file.file_path
    bucket, _, key = path.removeprefix("s3://").partition("/")
    stack.s3("etl").remove_object(bucket_name=bucket, object_name=key)
    verdict, reason = ask(name, outputs="dataset")
    assert verdict == "miss"
    assert f"{path} is gone" in reason


def test_what_was_trained_on_last_counts_unless_it_is_this_very_version(ask: Ask, table: Any) -> None:
    """check-data compares with it; train leaves its mark, and another training takes it away."""
    first, second = (f"{table.name()[0]}.rows@{tag}" for tag in ("v-1", "v-2"))
    assert ask(first, looks_at="last-trained")[0] == "miss"
    snapshots = {name: each.snapshot_id for name, each in table.metadata.refs.items()}
    table.manage_snapshots().create_tag(snapshots["v-1"], "last-trained").commit()
    assert ask(first, looks_at="last-trained")[0] == "hit"
    assert [ask(first, leaves="last-trained")[0] for _ in range(2)] == ["miss", "hit"]
    table.manage_snapshots().create_tag(snapshots["v-2"], "last-trained").commit()
    assert ask(first, looks_at="last-trained")[1].startswith("last-trained is snapshot")
    assert "what it left, last-trained, is another one" in ask(first, leaves="last-trained")[1]
    assert ask(second, looks_at="last-trained")[0] == "miss"
