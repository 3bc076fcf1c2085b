"""Spark's settings: the form of spark-defaults, what suits a laptop, what a cluster needs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tiphys.errors import SettingsError
from tiphys.spark import conf
from tiphys.spark.conf import parse, properties, settings, wait

pytestmark = pytest.mark.unit


def test_settings_have_the_form_of_spark_defaults() -> None:
    """Comments and blank lines are skipped; blanks, equals signs and colons part key and value; the last value wins."""
    text = """
    # laptop
    ! the same
    spark.master  local[2]
    spark.driver.extraJavaOptions=-Da=b -Dc=d # e
    spark.driver.memory: 1g
    spark.driver.memory = 2g
    spark.jars /opt/a.jar,\\
        /opt/b.jar
    spark.kubernetes.driver.label.a/b c\\\\d
    """.replace(" # e", "")
    assert parse(text.replace("\\\\", "\\")) == {
        "spark.master": "local[2]",
        "spark.driver.extraJavaOptions": "-Da=b -Dc=d",
        "spark.driver.memory": "2g",
        "spark.jars": "/opt/a.jar,/opt/b.jar",
        "spark.kubernetes.driver.label.a/b": "cd",
    }


@pytest.mark.parametrize("line", ["nonsense", "spark.master", "spark.master=", "master local", "-Dspark.master=local"])
def test_a_line_that_is_no_setting_is_named(line: str) -> None:
    """Not silently skipped."""
    with pytest.raises(SettingsError, match="no Spark setting: '" + line):
        parse(f"spark.master local\n{line}\n")


def test_a_comment_after_a_value_is_refused() -> None:
    """Spark would take it for the value's end."""
    with pytest.raises(SettingsError, match=r"the comment after spark\.driver\.memory"):
        parse("spark.driver.memory 1g # enough")
    assert parse("spark.archives env.tar.gz#env") == {"spark.archives": "env.tar.gz#env"}


@pytest.mark.parametrize(
    "key",
    [
        "spark.authenticate.secret",
        "spark.hadoop.fs.s3a.secret.key",
        "spark.ssl.keyPassword",
        "spark.hadoop.fs.s3a.access.key",
    ],
)
def test_a_secret_where_all_may_read_it_is_refused_without_being_shown(key: str) -> None:
    """The message says where it belongs; there it is taken."""
    with pytest.raises(SettingsError, match="TIPHYS_SPARK_SECRET_CONF") as refused:
        parse(f"{key} hush")
    assert "hush" not in str(refused.value)
    assert parse(f"{key} hush", secret=True) == {key: "hush"}


def test_a_secret_line_that_is_none_is_not_shown() -> None:
    """Only the variable is named."""
    with pytest.raises(SettingsError, match="TIPHYS_X has a line") as refused:
        parse("hush", "TIPHYS_X", secret=True)
    assert "hush" not in str(refused.value)


@given(some.text("ab =:#\\\"'$!é", min_size=1))
def test_every_value_comes_back_from_the_file_that_java_reads(value: str) -> None:
    """Backslashes, equals signs and quotes included; what Java strips at the ends, or takes for a comment, is no value."""
    one_line = " ".join(value.split()).replace(" #", "#").lstrip("=:# ") or "x"
    assert parse(properties({"spark.x": one_line}), secret=True) == {"spark.x": one_line.strip()}


def test_a_local_spark_finds_its_jars_on_the_class_path() -> None:
    """Copying them at each start would cost more than the job; a cluster's Spark ships them itself."""
    assert settings({"spark.master": "local[2]", "spark.jars": "a,b"})["spark.driver.extraClassPath"] == "a:b"
    assert settings({"spark.master": "k8s://127.0.0.1", "spark.jars": "a,b"})["spark.jars"] == "a,b"


@pytest.mark.parametrize(
    "master", ["spark://127.0.0.1:7077,other:7077", "k8s://https://127.0.0.1:6443", "k8s://127.0.0.1:6443"]
)
def test_executors_are_told_an_address_that_they_reach(master: str) -> None:
    """That of this machine on the way to the master, unless one is given."""
    assert settings({"spark.master": master})["spark.driver.host"] == "127.0.0.1"
    assert settings({"spark.master": master, "spark.driver.host": "own"})["spark.driver.host"] == "own"


def test_a_master_without_an_address_leaves_the_driver_s_to_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark itself says then what is wrong with the master."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "spark.driver.host" not in settings({"spark.master": "spark://nowhere:7077"})


def test_in_a_pod_executors_belong_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same namespace and the pod as their owner; in another namespace a pod can own nothing."""
    (tmp_path / "namespace").write_text("pipelines\n")
    monkeypatch.setattr(conf, "_NAMESPACE", tmp_path / "namespace")
    own = settings({"spark.master": "k8s://127.0.0.1"}, "etl-1")
    assert own["spark.kubernetes.namespace"] == "pipelines"
    assert own["spark.kubernetes.driver.pod.name"] == "etl-1"
    assert Path(own["spark.kubernetes.executor.podTemplateFile"]).is_file()
    other = settings({"spark.master": "k8s://127.0.0.1", "spark.kubernetes.namespace": "spark"}, "etl-1")
    assert other["spark.kubernetes.namespace"] == "spark"
    assert "spark.kubernetes.driver.pod.name" not in other


def test_the_wait_for_executors_is_a_number_of_seconds() -> None:
    """Anything else is named."""
    assert wait(settings({"spark.master": "spark://127.0.0.1:7077"})) == 300.0
    with pytest.raises(SettingsError, match=r"spark\.tiphys\.executors\.wait must be a number of seconds, not 'long'"):
        wait({"spark.tiphys.executors.wait": "long"})
