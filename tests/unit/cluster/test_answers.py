"""What refusals of a real Argo server (4.1.2, Kubernetes 1.34) are told a person as.

The answers were recorded as they came, but for `not-up-yet` and `kubernetes-away`: their texts were read off a terminal.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiphys.cluster.access import Access
from tiphys.cluster.answers import refusal
from tiphys.cluster.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    NoNamespaceError,
    NotThereError,
    ServerAwayError,
)

pytestmark = pytest.mark.unit
ACCESS = Access("https://argo.example.org", "tiphys", Path("token"))
RECORDED = json.loads((Path(__file__).parent / "answers.json").read_text())


def told(case: str, access: Access = ACCESS) -> ClusterError:
    """The error for a recorded answer."""
    answer = RECORDED[case]
    return refusal(access, answer["status"], answer["body"])


def test_missing_definitions_are_named_with_the_remedy() -> None:
    """Missing definitions are named with the remedy."""
    error = told("no-crd")
    assert type(error) is ClusterError
    assert "lacks Argo's resource definitions" in str(error)
    assert "install the CRDs" in str(error)


def test_a_missing_namespace_is_named_with_the_command_that_makes_it() -> None:
    """A missing namespace is named with the command that makes it."""
    error = told("no-namespace")
    assert isinstance(error, NoNamespaceError)
    assert "kubectl create namespace nix" in str(error)


def test_what_the_token_may_not_do_is_named_with_who_and_where() -> None:
    """What the token may not do is named with who and where."""
    error = told("forbidden-create")
    assert isinstance(error, ForbiddenError)
    assert "system:serviceaccount:tiphys:nobody may not create workflowtemplates in namespace 'tiphys'" in str(error)


@pytest.mark.parametrize("case", ["forbidden-list", "forbidden-template"])
def test_a_bare_permission_denied_names_the_namespace_and_a_role(case: str) -> None:
    """A bare permission denied names the namespace and a role."""
    error = told(case)
    assert isinstance(error, ForbiddenError)
    assert "'tiphys'" in str(error)
    assert "--print-prerequisites" in str(error)


def test_a_token_that_is_not_valid_is_blamed_by_its_file() -> None:
    """A token that is not valid is blamed by its file."""
    assert "the token in token is not valid there, or has expired" in str(told("bad-token"))


def test_a_missing_token_is_asked_for() -> None:
    """A missing token is asked for."""
    error = told("no-token", Access("https://argo.example.org", "tiphys"))
    assert "give a token with --token-file" in str(error)


def test_an_object_that_is_not_there_is_its_own_kind_of_error() -> None:
    """An object that is not there is its own kind of error."""
    assert isinstance(told("no-template"), NotThereError)
    assert isinstance(told("no-workflow"), NotThereError)


def test_an_object_that_changed_meanwhile_is_a_conflict() -> None:
    """An object that changed meanwhile is a conflict."""
    assert isinstance(told("conflict"), ConflictError)


def test_what_argo_says_of_a_manifest_is_passed_on() -> None:
    """What argo says of a manifest is passed on."""
    assert "spec.arguments.source.value or spec.arguments.source.valueFrom is required" in str(told("missing-argument"))


def test_a_server_that_is_not_up_yet_may_be_asked_again() -> None:
    """A server that is not up yet may be asked again."""
    assert isinstance(told("not-up-yet"), ServerAwayError)


def test_a_cluster_that_is_away_behind_its_argo_server_may_be_asked_again() -> None:
    """A cluster that is away behind its argo server may be asked again."""
    error = told("kubernetes-away")
    assert isinstance(error, ServerAwayError)
    assert "the cluster behind https://argo.example.org does not answer it" in str(error)


def test_kubernetes_own_api_server_is_told_from_argos() -> None:
    """Kubernetes own api server is told from argos."""
    assert "is Kubernetes' own API server" in str(told("kubernetes"))


@pytest.mark.parametrize("body", ["<html>hello</html>", "", "[]", '{"hello": 1}', '"x"', "\x00\xff"])
def test_anything_else_is_called_no_argo_server(body: str) -> None:
    """Anything else is called no argo server."""
    assert "is not an Argo server" in str(refusal(ACCESS, 200, body))


def test_a_redirect_is_not_followed_but_told() -> None:
    """A redirect is not followed but told."""
    assert "sends elsewhere (HTTP 302)" in str(refusal(ACCESS, 302, ""))


def test_a_long_answer_of_a_stranger_is_cut() -> None:
    """A long answer of a stranger is cut."""
    assert len(str(refusal(ACCESS, 500, "x" * 100_000))) < 400
