"""Where a server is and as whom it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiphys.cluster.access import Access
from tiphys.cluster.errors import ClusterError
from tiphys.cluster.version import check_version, parse

pytestmark = pytest.mark.unit


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A token file as it should be."""
    file = tmp_path / "token"
    file.write_text("canary-token\n")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("url", ["argo.example.org:2746", "ftp://argo.example.org", "https://", ""])
def test_an_address_that_is_no_url_is_refused_with_one_that_is(url: str) -> None:
    """An address that is no url is refused with one that is."""
    with pytest.raises(ClusterError, match=r"write a URL, such as https://"):
        Access(url, "tiphys").checked()


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    """A password in the address is refused and not repeated."""
    with pytest.raises(ClusterError) as refused:
        Access("https://me:canary@argo.example.org", "tiphys").checked()
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("namespace", ["../argo", "A", "a/b", "", "a b", "-a"])
def test_a_namespace_that_could_lead_elsewhere_in_the_url_is_refused(namespace: str) -> None:
    """A namespace that could lead elsewhere in the url is refused."""
    with pytest.raises(ClusterError, match="namespace"):
        Access("https://argo.example.org", namespace).checked()


def test_a_token_is_not_sent_over_plain_http_to_another_machine(token: Path) -> None:
    """A token is not sent over plain http to another machine."""
    with pytest.raises(ClusterError, match="plain http"):
        Access("http://argo.example.org:2746", "tiphys", token).checked()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_plain_http_to_this_machine_is_taken(token: Path, host: str) -> None:
    """Plain http to this machine is taken."""
    assert Access(f"http://{host}:2746", "tiphys", token).checked().local


def test_plain_http_is_taken_when_asked_for_and_without_a_token(token: Path) -> None:
    """Plain http is taken when asked for and without a token."""
    Access("http://argo.example.org", "tiphys", token, plain_http=True).checked()
    Access("http://argo.example.org", "tiphys").checked()


@pytest.mark.parametrize("text", ["", "  \n", "two words", "line\nline", "tökén"])
def test_a_file_without_a_token_is_refused(token: Path, text: str) -> None:
    """A file without a token is refused."""
    token.write_text(text)
    with pytest.raises(ClusterError, match="holds no token"):
        Access("https://argo.example.org", "tiphys", token).token()


def test_a_token_may_be_written_with_the_word_bearer(token: Path) -> None:
    """A token may be written with the word bearer."""
    token.write_text("Bearer canary-token")
    assert Access("https://argo.example.org", "tiphys", token).token() == "canary-token"


def test_a_token_file_that_others_can_read_is_warned_of_with_the_remedy(token: Path) -> None:
    """A token file that others can read is warned of with the remedy."""
    access = Access("https://argo.example.org", "tiphys", token)
    assert access.warnings() == []
    token.chmod(0o640)
    assert access.warnings() == [f"the token file {token} can be read by others: chmod 600 {token}"]


def test_the_token_is_in_no_representation_of_the_access(token: Path) -> None:
    """The token is in no representation of the access."""
    access = Access("https://argo.example.org", "tiphys", token)
    access.token()
    assert "canary" not in repr(access)


@pytest.mark.parametrize("version", ["v3.6.7", "v3.6.10+unknown", "v2.12.0", "3.6.0"])
def test_an_older_argo_is_refused_by_name(version: str) -> None:
    """An older argo is refused by name."""
    with pytest.raises(ClusterError, match=r"runs Argo .* need 3\.7 or newer: upgrade"):
        check_version("https://argo.example.org", version)


@pytest.mark.parametrize("version", ["v3.7.0", "v4.1.2", "v3.10.0", "v10.0.0-rc1", "latest", "v0.0.0+unknown"])
def test_a_newer_argo_or_one_that_does_not_say_is_taken(version: str) -> None:
    """A newer argo or one that does not say is taken."""
    check_version("https://argo.example.org", version)


def test_a_build_without_a_release_says_nothing_of_its_age() -> None:
    """A build without a release says nothing of its age."""
    assert parse("v0.0.0+unknown") is None
    assert parse("v3.7.1") == (3, 7)
