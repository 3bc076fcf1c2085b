"""A capsule is read by its own names only, and holds no secret."""

from __future__ import annotations

import gzip
import io
import json
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import ObjectStore
from tiphys.engine.replay.capsule import LARGEST, Capsule, CapsuleError, load
from tiphys.engine.replay.redaction import Redactor, named_secrets, restore

pytestmark = pytest.mark.unit
SECRET = "Tr0ub4dor&3/+ x"
TEMPLATE = {"name": "say", "container": {"image": "debian:12", "command": ["true"]}}


def capsule(**fields: Any) -> Capsule:
    """A capsule of one small step."""
    plain: dict[str, Any] = {
        "run": "r",
        "node": "r-1",
        "node_name": "r.say",
        "pod": "r-say-1",
        "start": 1,
        "template": TEMPLATE,
    }
    return Capsule(**{**plain, **fields})


def packed(path: Path, members: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    """A .tgz of these members."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
        for about in more:
            archive.addfile(about)
    return path


def head(**fields: Any) -> bytes:
    """The JSON of a capsule, with other fields."""
    plain = {
        "capsule": 1,
        "run": "r",
        "node": "r-1",
        "node_name": "r.say",
        "pod": "p",
        "start": 1,
        "template": TEMPLATE,
    }
    return json.dumps({**plain, **fields}).encode()


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    """By its owner only."""
    path = tmp_path / "c" / "r-1.tgz"
    capsule(log="bye\n", blobs={3: b"x"}, secrets=["s/k"]).save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = load(path)
    assert (found.last_line, found.blobs, found.secrets) == ("bye", {3: b"x"}, ["s/k"])


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "inputs/../x", "inputs/01", "inputs/x", "capsule.json/x", "inputs/99999"]
)
def test_other_names_than_its_own_are_refused(tmp_path: Path, name: str) -> None:
    """Nothing is ever unpacked by a name that an archive holds."""
    with pytest.raises(CapsuleError, match="which no capsule has"):
        load(packed(tmp_path / "c.tgz", {"capsule.json": head(), name: b""}))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_only_plain_files_are_let_in(tmp_path: Path, kind: bytes) -> None:
    """No link, device or folder under a name that would be right."""
    about = tarfile.TarInfo("log")
    about.type, about.linkname = kind, "/etc/shadow"
    with pytest.raises(CapsuleError, match="which no capsule has"):
        load(packed(tmp_path / "c.tgz", {"capsule.json": head()}, about))


def test_a_bomb_is_refused_before_it_fills_memory(tmp_path: Path) -> None:
    """Whether it is in the archive or around it; a member that is given twice, too."""
    bomb = tmp_path / "bomb.tgz"
    with gzip.open(bomb, "wb", compresslevel=9) as file:
        for _ in range(LARGEST // (1 << 20) + 2):
            file.write(b"\0" * (1 << 20))
    with pytest.raises(CapsuleError, match="when it is opened"):
        load(bomb)
    twice = tmp_path / "twice.tgz"
    again = tarfile.TarInfo("capsule.json")
    with pytest.raises(CapsuleError, match="which no capsule has"):
        load(packed(twice, {"capsule.json": head()}, again))


@pytest.mark.parametrize(
    "fields",
    [
        {"run": "../../x"}, {"node": "../x"}, {"node": "a..b"}, {"node": 3}, {"start": True}, {"template": []}, {"capsule": 2},
        {"template": {"name": "x"}},
        {"template": {"name": "x", "steps": [[]]}},
        {"template": {"name": "x", "container": {"image": 3}}},
        {"template": {**TEMPLATE, "inputs": {"artifacts": [{"name": "../../a", "path": "/tmp/a", "raw": {"data": "x"}}]}}},
        {"template": {**TEMPLATE, "inputs": {"artifacts": [{"name": "a", "path": "../a", "raw": {"data": "x"}}]}}},
        {"template": {**TEMPLATE, "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}},
        {"template": {**TEMPLATE, "resource": {}}},
        {"config_maps": {"x": {"k": 3}}}, {"variables": {"x": 3}}, {"inputs": ["x"]}, {"images": {}},
    ],
)  # fmt: skip
def test_a_capsule_of_a_wrong_shape_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    """By names, types, and by what the engine refuses in a manifest."""
    with pytest.raises(CapsuleError):
        load(packed(tmp_path / "c.tgz", {"capsule.json": head(**fields)}))


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"no tar"), gzip.compress(b"x" * 5000)[:-9]],
    ids=["empty", "no gzip", "no tar", "cut short"],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """In one line."""
    path = tmp_path / "c.tgz"
    path.write_bytes(content)
    with pytest.raises(CapsuleError, match=r"c\.tgz is no capsule"):
        load(path)


def test_json_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    """Instead of an overflow."""
    with pytest.raises(CapsuleError, match="is no capsule"):
        load(packed(tmp_path / "c.tgz", {"capsule.json": b"[" * 100_000}))


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    """A store with Secrets."""
    store = ObjectStore(tmp_path)
    data = {
        "password": SECRET,
        "pin": "1234",
        "pem": "-----BEGIN-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASC\n",
        "empty": "",
    }
    store.apply({"kind": "Secret", "metadata": {"name": "db"}, "stringData": data})
    return store


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"--password={SECRET}!",
        "VHIwdWI0ZG9yJjMvKyB4",
        "dXNlcjpUcjB1YjRkb3ImMy8rIHg=",
        "x=Tr0ub4dor%263%2F%2B%20x&y",
        "Tr0ub4dor%263%2F%2B+x",
        "kiG9w0BAQEFAASC",
    ],
)
def test_no_form_of_a_secret_stays(objects: ObjectStore, text: str) -> None:
    """As it is, in base64 also beside something else, in a URL, and a line of a key."""
    redactor = Redactor(objects)
    shown = redactor.text(text)
    assert "secret db/" in shown
    for part in ("Tr0ub4", "cjB1YjRkb3", "VHIwdWI0", "kiG9w0BAQ"):
        assert part not in shown
    assert redactor.holds(f"a {text} b".encode())


def test_a_short_value_is_hidden_where_it_is_all(objects: ObjectStore) -> None:
    """Elsewhere it would be found in any text."""
    redactor = Redactor(objects)
    assert redactor.tree({"env": ["1234", "call 1234 now", ""]}) == {"env": ["⟦secret db/pin⟧", "call 1234 now", ""]}


def test_a_name_stays_whatever_it_is_called(objects: ObjectStore) -> None:
    """A user who is called as a step is must not make the step nameless."""
    objects.apply({"kind": "Secret", "metadata": {"name": "login"}, "stringData": {"user": "ingest"}})
    hidden = Redactor(objects).tree({"name": "ingest", "image": "tiphys/ingest:1"})
    assert hidden == {"name": "ingest", "image": "tiphys/⟦secret login/user⟧:1"}


def test_placeholders_are_filled_from_the_secrets_that_are_here(objects: ObjectStore, tmp_path: Path) -> None:
    """Those that are not are named."""
    tree = {"a": [f"x{SECRET}y", "VHIwdWI0ZG9yJjMvKyB4"], "b": {SECRET: "1234"}}
    hidden = Redactor(objects).tree(tree)
    assert named_secrets(hidden) == {"db/password", "db/pin"}
    missing: set[str] = set()
    assert restore(hidden, objects, missing) == tree
    assert not missing
    assert restore(hidden, ObjectStore(tmp_path / "other"), missing) == hidden
    assert missing == {"Secret db, key password", "Secret db, key pin"}
