"""The agent beside Triton: what it serves, what it refuses, and what may go away without a rider noticing."""

from __future__ import annotations

import contextlib
import hashlib
import re
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import urllib3

from tests.usecases.pair.pieces import PACE, SPREAD, pieces
from tests.usecases.tiny.features import FEATURES
from tiphys.errors import PermanentError, RetryableError
from tiphys.serving.manifest import FileDigest, Manifest
from tiphys.serving.repository import Repository, build_ensemble, config
from tiphys.serving.triton import BrokenModelError, TritonControl
from tiphys.stack.layout import Layout
from tiphys.usecase import UseCase

pytestmark = pytest.mark.e2e

Answers = Callable[[tuple[float, str]], None]


def forged(repository: Repository, **other: bytes) -> Repository:
    """The same repository with other bytes for some files, and a manifest that vouches for them."""
    files = {
        path: other.get(path.rpartition("/")[2].replace(".", "_"), content)
        for path, content in repository.files.items()
    }
    digests = {
        path: FileDigest(sha256=hashlib.sha256(files[path]).hexdigest(), bytes=len(files[path]))
        for path in repository.manifest.files
    }
    manifest = Manifest(**{**repository.manifest.model_dump(), "files": digests})
    files["manifest.json"] = manifest.model_dump_json().encode()
    return Repository(files, manifest, hashlib.sha256(files["manifest.json"]).hexdigest())


def test_a_release_is_served_and_the_next_takes_its_place(shop: Any) -> None:
    """The version that answers is exactly the released one."""
    first = shop.serve(10.0)
    assert shop.answer() == (20.0, first.version)
    second = shop.serve(11.0)
    assert shop.answer() == (22.0, second.version)
    assert int(second.version) == int(first.version) + 1


def test_environments_do_not_touch_each_other(shop: Any) -> None:
    """What is released into staging does not reach production."""
    production = shop.serve(12.0, "production")
    shop.serve(13.0)
    assert shop.answer("production") == (24.0, production.version)


@pytest.mark.parametrize("file", ["model.onnx", "config.pbtxt", "reference.json", "manifest.json"])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_a_corrupt_file_is_refused_and_the_old_model_serves_on(shop: Any, file: str, place: float) -> None:
    """One flipped bit, anywhere in any file: the message names the file and both digests."""
    served = shop.page("staging")
    old = served["version"] if served else shop.serve(14.0).version
    repository = shop.make(15.0)
    (path,) = [each for each in repository.files if each.endswith(file)]
    good = repository.files[path]
    at = int(place * len(good))
    bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
    recorded = shop.release(shop.put(repository, **{file.replace(".", "_"): bad}))
    with pytest.raises(PermanentError) as refusal:
        shop.ledger().wait_until_served(recorded, 60)
    for named in (path, hashlib.sha256(bad).hexdigest(), hashlib.sha256(good).hexdigest()):
        assert named in str(refusal.value)
    assert shop.page("staging")["version"] == old
    assert shop.answer()[1] == old


def test_a_copy_that_was_damaged_on_disk_is_not_loaded(shop: Any, eventually_answers: Answers) -> None:
    """Triton is restarted: the agent finds the damage, fetches the copy anew, and serves what it served."""
    served = shop.serve(26.0)
    copy = Layout.of(shop.stack.settings).data("agent-staging") / "copies" / served.image.rpartition(":")[2]
    good = {path: path.read_bytes() for path in copy.rglob("*.*") if path.is_file()}
    assert len(good) == 4
    for path, content in good.items():
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    shop.kill("triton-staging", signal.SIGKILL)
    eventually_answers((52.0, served.version))
    assert {path: path.read_bytes() for path in good} == good


def test_a_replaced_manifest_is_refused(shop: Any) -> None:
    """A manifest that vouches for other files has another digest than the ledger pins."""
    old = shop.serve(16.0)
    repository = shop.make(17.0)
    other = shop.put(forged(repository, model_onnx=b"something else"))
    recorded = shop.release(shop.put(repository).model_copy(update={"image": other.image}))
    with pytest.raises(PermanentError, match=r"manifest\.json has sha256"):
        shop.ledger().wait_until_served(recorded, 60)
    assert shop.answer() == (32.0, old.version)


@pytest.mark.parametrize(
    "wrong",
    [
        ('backend: "onnxruntime"', 'backend: "python"'),
        ('backend: "onnxruntime"', 'platform: "ensemble"'),
        ('backend: "onnxruntime"', 'backend: "onnxruntime"\nparameters { key: "x" value: { string_value: "y" } }'),
        ('backend: "onnxruntime"', 'backend: "onnxruntime"\nmodel_operations { op_library_filename: "/tmp/evil.so" }'),
    ],
)
def test_a_model_that_is_code_is_refused(shop: Any, wrong: tuple[str, str]) -> None:
    """Whoever may write S3 and the ledger still cannot make Triton run a program."""
    old = shop.serve(18.0)
    repository = shop.make(19.0)
    text = config("tiny", repository.manifest.version, FEATURES, "seconds").replace(*wrong)
    recorded = shop.release(shop.put(forged(repository, config_pbtxt=text.encode())))
    with pytest.raises(PermanentError, match=r"config\.pbtxt is refused"):
        shop.ledger().wait_until_served(recorded, 60)
    assert shop.answer() == (36.0, old.version)


def test_a_model_that_triton_cannot_load_leaves_the_old_one_serving(shop: Any, eventually_answers: Answers) -> None:
    """Digests agree, but it is no ONNX: Triton's reason is reported, and a restart does not bring it back."""
    old = shop.serve(20.0)
    recorded = shop.release(shop.put(shop.make(21.0, onnx=b"no model at all")))
    with pytest.raises(PermanentError, match="cannot load"):
        shop.ledger().wait_until_served(recorded, 60)
    assert shop.answer() == (40.0, old.version)
    shop.kill("triton-staging", signal.SIGKILL)
    eventually_answers((40.0, old.version))


def test_a_killed_triton_gets_its_model_back(shop: Any, eventually_answers: Answers) -> None:
    """It starts empty; the agent sees that and loads what served before."""
    served = shop.serve(22.0)
    shop.kill("triton-staging", signal.SIGKILL)
    eventually_answers((44.0, served.version))


def stubs(shop: Any, model: str) -> list[psutil.Process]:
    """The processes in which staging's Triton runs a model."""
    children = psutil.Process(shop.pid("triton-staging")).children(recursive=True)
    living = [each for each in children if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in living if any(f"/models/{model}/" in word for word in each.cmdline())]


def test_a_model_whose_process_was_killed_comes_back(
    shop: Any, http: urllib3.PoolManager, eventually_answers: Answers
) -> None:
    """Its Triton lives, calls it ready, and would answer 500 for ever: the agent notices and loads it anew, nothing else."""
    served = shop.serve(27.0)
    assert shop.answer() == (54.0, served.version)
    triton, before = shop.pid("triton-staging"), stubs(shop, "tiny")
    for each in before:
        each.kill()
    assert shop.ask().status != 200
    eventually_answers((54.0, served.version))
    assert shop.pid("triton-staging") == triton
    assert not {each.pid for each in before} & {each.pid for each in stubs(shop, "tiny")}
    metrics = http.request("GET", f"http://{shop.stack.config['TIPHYS_STAGING_AGENT']}/metrics").data.decode()
    assert int(re.findall(r"tiphys_agent_heals_total\S* (\d+)", metrics)[0]) >= 1


def test_a_part_whose_process_was_killed_comes_back(shop: Any, eventually: Callable[..., None]) -> None:
    """Of two models that answer as one: the agent asks the whole, and loads all of it anew."""
    known = {name: [1.0] for name in ("litres", "celsius", "seconds", "seconds_low", "seconds_high")}
    repository = build_ensemble(UseCase("tests.usecases.pair"), "5", pieces(), known)
    release = shop.put(repository, where="pair/5/").model_copy(
        update={"use_case": "tests.usecases.pair", "model_version": "models:/pair/5"}
    )
    shop.ledger().wait_until_served(shop.release(release), 60)
    triton = TritonControl(shop.stack.config["TIPHYS_STAGING_HTTP"])
    question: dict[str, tuple[str, float]] = {"litres": ("FP32", 2.0), "celsius": ("INT64", 20)}
    right = triton.ask("pair", question, "5")
    (part,) = stubs(shop, "pair__heat")
    part.kill()
    with pytest.raises(BrokenModelError):
        triton.ask("pair", question, "5")

    def answers() -> bool:
        with contextlib.suppress(PermanentError, RetryableError):
            return triton.ask("pair", question, "5") == right
        return False

    eventually(answers)


def test_riders_do_not_notice_that_ledger_and_s3_are_away(shop: Any) -> None:
    """What serves needs neither."""
    served = shop.serve(23.0)
    with shop.without("ledger", "s3"):
        assert shop.answer() == (46.0, served.version)


def test_triton_and_agent_come_back_from_the_copy_alone(shop: Any, eventually_answers: Answers) -> None:
    """Both are killed while ledger and S3 are away: the last good copy on disk is served again."""
    served = shop.serve(24.0)
    with shop.without("ledger", "s3"):
        shop.kill("agent-staging", signal.SIGKILL)
        shop.kill("triton-staging", signal.SIGKILL)
        eventually_answers((48.0, served.version))


def test_a_release_made_while_s3_is_away_is_served_when_it_is_back(shop: Any) -> None:
    """Away is not wrong: the agent goes on trying."""
    release = shop.put(shop.make(25.0))
    with shop.without("s3"):
        recorded = shop.release(release)
    assert shop.ledger().wait_until_served(recorded, 120).version == release.number


def test_two_models_that_answer_as_one_are_served(shop: Any) -> None:
    """Parts and all, each configuration checked; the next version takes their place, and a rollback brings them back."""
    known = {name: [1.0] for name in ("litres", "celsius", "seconds", "seconds_low", "seconds_high")}
    for number in (1, 2):
        repository = build_ensemble(UseCase("tests.usecases.pair"), str(number), pieces(), known)
        release = shop.put(repository, where=f"pair/{number}/").model_copy(
            update={"use_case": "tests.usecases.pair", "model_version": f"models:/pair/{number}"}
        )
        served = shop.ledger().wait_until_served(shop.release(release, "production"), 60)
        assert served.version == str(number)
    shop.cli("release", "rollback", "production", "pair")
    triton = TritonControl(shop.stack.config["TIPHYS_PRODUCTION_HTTP"])
    answer, version = triton.ask("pair", {"litres": ("FP32", 2.0), "celsius": ("INT64", 20)}, "1")
    assert version == "1"
    assert answer == pytest.approx(2.0 * 80 * PACE + 2.0, abs=SPREAD + 0.01)
