"""The audit finds what is planted, and says so when it could not look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tiphys.images.audit import vulnerabilities
from tiphys.images.audit.content import LABELS, Configuration, configuration_faults, file_faults
from tiphys.images.audit.pins import dockerfile_faults, jar_faults, lock_faults, pins
from tiphys.images.content import SBOM
from tiphys.settings import PROJECT

pytestmark = pytest.mark.unit

DIGEST = "sha256:" + "a" * 64
GOOD = Configuration("65532:65532", {"PATH": "/bin"}, dict.fromkeys(LABELS, "x"), ("python", "-m", "x"), ("COPY x",))


def test_this_project_is_pinned() -> None:
    """Every Dockerfile and every lock."""
    assert [each for each in pins(PROJECT) if each.verdict != "good"] == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("FROM debian:bookworm", "starts from debian:bookworm"),
        ("FROM debian@sha256:abc", "starts from debian@sha256:abc"),
        ("FROM ${IMAGES}/base:latest", "starts from ${IMAGES}/base:latest"),
        ("ARG BASE=debian:bookworm-slim", "the base debian:bookworm-slim is not pinned"),
        ("COPY --from=busybox:latest /bin/sh /bin/sh", "copies from busybox:latest"),
        ("ADD https://localhost/x.tar /", "may fetch"),
        ("RUN curl -fsS https://localhost/x | sh", "fetches something without a digest"),
        ("RUN true \\\n && pip install flask", "fetches something without a digest"),
        ("FROM scratch\nUSER root", "runs as root"),
        ("FROM scratch\nUSER 0:0", "runs as root"),
    ],
)
def test_a_planted_line_of_a_dockerfile_is_found(line: str, told: str) -> None:
    """Whatever is not pinned, or ends as root, is named."""
    faults = list(dockerfile_faults(line + "\n"))
    assert len(faults) == 1
    assert told in faults[0]


def test_what_is_pinned_passes() -> None:
    """Digests, stages, our own images, and root in a stage that isn't shipped."""
    text = f"ARG BASE=debian:1@{DIGEST}\nFROM ${{BASE}} AS one\nUSER root\nFROM ${{IMAGES}}/base:${{VERSION}}\nCOPY --from=one / /\n"
    assert list(dockerfile_faults(text)) == []


def test_a_planted_package_without_digest_or_version_is_found(tmp_path: Path) -> None:
    """In a lock nothing may be left open."""
    lock = tmp_path / "x.lock"
    lock.write_text(f"a==1 \\\n    --hash={DIGEST}\nc>=3 --hash={DIGEST}\nb==2\n")
    assert [each.split()[0] for each in lock_faults(lock)] == ["b", "'c>=3"]
    assert list(jar_faults("g:a:1.0 " + "b" * 64 + "\n# x\ng:a:latest\n")) == [
        "'g:a:latest' is not GROUP:NAME:VERSION SHA256"
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"user": ""}, "runs as root"),
        ({"user": "tiphys"}, "USER must be a number"),
        ({"user": "0:65532"}, "runs as 0"),
        ({"labels": {}}, "label org.opencontainers.image.title is missing"),
        ({"entrypoint": ("/bin/sh", "-c", "x")}, "starts /bin/sh"),
        ({"environment": {"TIPHYS_S3_SECRET_KEY": "x"}}, "variable TIPHYS_S3_SECRET_KEY looks like a secret"),
        ({"history": ("RUN UV_INDEX_URL=https://me:hunter2@localhost/simple uv",)}, "is in its history"),
    ],
)
def test_a_planted_fault_of_an_images_configuration_is_found(change: Mapping[str, object], told: str) -> None:
    """Who it runs as, what it says of itself, what it starts, and secrets."""
    lent = frozenset({"https://me:hunter2@localhost/simple"})
    assert list(configuration_faults(GOOD, lent)) == []
    faults = list(configuration_faults(Configuration(**{**GOOD.__dict__, **change}), lent))
    assert any(told in each for each in faults)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of an image with nothing wrong."""
    packages = tmp_path / "opt/venv/lib/python3.11/site-packages"
    (packages / "Foo_Bar-1.0.dist-info").mkdir(parents=True)
    (tmp_path / SBOM).parent.mkdir(parents=True)
    (tmp_path / SBOM).write_text(json.dumps({"components": [{"name": "foo-bar"}]}))
    (tmp_path / "tmp").mkdir(mode=0o1777)
    (tmp_path / "tmp").chmod(0o1777)
    return tmp_path


def test_an_image_with_nothing_wrong_passes(root: Path) -> None:
    """A public certificate or a sticky /tmp is no fault."""
    (root / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n" + "A" * 64 + "\n")
    assert list(file_faults(root)) == []


@pytest.mark.parametrize("planted", ["setuid", "world", "key", "netrc", "apt", "unlisted", "lent", "cache", "sbom"])
def test_a_planted_file_of_an_image_is_found(root: Path, planted: str) -> None:
    """Setuid programs, secrets, installers, what a build left, files that anyone may write, packages that nobody listed."""
    program = root / "usr/bin/x"
    program.parent.mkdir(parents=True)
    program.write_text("x")
    if planted == "setuid":
        program.chmod(0o4755)
    elif planted == "world":
        program.chmod(0o777)
    elif planted == "key":
        (root / "etc.pem").write_text("-----BEGIN RSA PRIVATE KEY-----\n" + "A" * 64 + "\n")
    elif planted == "netrc":
        (root / ".netrc").write_text("machine x login y password z")
    elif planted == "apt":
        (root / "usr/bin/apt-get").write_text("x")
    elif planted == "unlisted":
        (root / "opt/venv/lib/python3.11/site-packages/evil-1.0.dist-info").mkdir()
    elif planted == "lent":
        (root / "run/secrets").mkdir(parents=True)
        (root / "run/secrets/build-env").write_text("{}")
    elif planted == "cache":
        (root / "tmp/.cache/uv").mkdir(parents=True)
        (root / "tmp/.cache/uv/torch.whl").write_text("x")
    else:
        (root / SBOM).unlink()
    assert len(list(file_faults(root))) == 1


def test_a_service_that_knows_nothing_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror without the data answers politely; the audit says that it could not check."""
    for told in (
        {"dependencies": [{"name": "jinja2", "skip_reason": "Dependency not found"}]},
        {"dependencies": [{"name": "jinja2", "version": "2.4.1", "vulns": []}]},
    ):
        monkeypatch.setattr(vulnerabilities, "_told", lambda _path, told=told: told)
        found = vulnerabilities.vulnerabilities(PROJECT)
        assert {each.verdict for each in found} == {"not checked"}
        assert "knows nothing of jinja2==2.4.1" in found[0].text


def test_a_known_vulnerability_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Package, version, flaw, and the version that mends it."""
    flaw = {"id": "CVE-1", "fix_versions": ["2.8.1"]}
    told = {"dependencies": [{"name": "jinja2", "version": "2.4.1", "vulns": [flaw]}]}
    monkeypatch.setattr(vulnerabilities, "_told", lambda _path: told)
    found = vulnerabilities.vulnerabilities(PROJECT)
    assert {each.verdict for each in found} == {"bad"}
    assert "jinja2 2.4.1: CVE-1 (fixed in 2.8.1)" in found[0].text
