"""Spark's settings: those that are given, in the form of spark-defaults, over those that suit this step.

Starts nothing. A setting whose value is secret comes in a variable of its own, so that the ConfigMap holds none.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tiphys.errors import SettingsError

WAIT = "spark.tiphys.executors.wait"
"""Seconds without a single executor after which the step gives up; Spark itself waits for ever."""

_LOGGING = Path(__file__).with_name("log4j2.properties")
_EXECUTOR_POD = Path(__file__).with_name("executor.yaml")
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SECRET = re.compile(r"(secret|password|token|(secret|access)[._-]?(access[._-]?)?key)$", re.IGNORECASE)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}

_DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",  # times are wall clock: nothing may shift them
    "spark.sql.ansi.enabled": "false",  # a rule that cannot be computed is null, not the end of the job
    "spark.sql.optimizer.enableCsvExpressionOptimization": "false",  # fewer columns asked, fewer fields counted
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.adaptive.enabled": "false",  # one pass, small writes: nothing to adapt, and planning twice costs
    "spark.log.level": "ERROR",
    "spark.redaction.regex": "(?i)secret|password|token|access[.-]?key|jdbc[.]user",
    "spark.driver.defaultJavaOptions": f"-Dlog4j2.configurationFile={_LOGGING.as_uri()}",
}
_LOCAL = {
    "spark.master": "local[*]",
    "spark.sql.shuffle.partitions": "2",
    # A job of seconds: the quick compiler only, and on the long method that decides about a row, too.
    "spark.driver.defaultJavaOptions": f"{_DEFAULTS['spark.driver.defaultJavaOptions']} -XX:+UseSerialGC "
    "-XX:TieredStopAtLevel=1 -XX:-DontCompileHugeMethods -Xshare:auto",
}
_CLUSTER = {
    "spark.sql.shuffle.partitions": "8",
    "spark.executor.defaultJavaOptions": "-XX:-DontCompileHugeMethods",  # as above: that method runs there
    WAIT: "300",
}

_NOTHING_TO_REMOVE = {  # Spark in a pod makes no service or volume claim, so it needs no right to remove any
    "spark.kubernetes.driver.service.deleteOnTermination": "false",
    "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",
    "spark.kubernetes.driver.reusePersistentVolumeClaim": "false",
}


def parse(text: str, variable: str = "TIPHYS_SPARK_CONF", *, secret: bool = False) -> dict[str, str]:
    """Read settings as Spark reads spark-defaults.conf, a file of Java properties.

    One a line: ``key value``, ``key=value`` or ``key: value``; lines that begin with ``#`` or ``!`` are comments; a backslash at
    the end goes on with the next line, elsewhere it keeps the character after it. The last of two values wins.

    Args:
        text: the settings.
        variable: where they come from, for the message.
        secret: whether values may be secret, and must not be shown.

    Raises:
        SettingsError: a line is no setting, or holds a secret where all may read it.
    """
    found = {}
    for line in _lines(text):
        parts = re.split(r"\s*[=:]\s*|\s+", line, maxsplit=1)
        shown = "" if secret else f": {line!r}"
        if len(parts) != 2 or not parts[0].startswith("spark.") or not parts[1]:  # noqa: PLR2004 - a key and its value
            message = f"{variable} has a line that is no Spark setting{shown}; write 'spark.KEY VALUE'"
            raise SettingsError(message)
        if re.search(r"\s#", parts[1]):
            message = (
                f"{variable}: Spark would take the comment after {parts[0]} for its value; give it a line of its own"
            )
            raise SettingsError(message)
        if not secret and _SECRET.search(parts[0]):
            message = f"{variable} holds {parts[0]}, which is secret: put that line into TIPHYS_SPARK_SECRET_CONF, in the Secret"
            raise SettingsError(message)
        found[parts[0]] = _plain(parts[1])
    return found


def _lines(text: str) -> Iterator[str]:
    """Whole lines: without comments and blank ones, those that go on put together."""
    begun = ""
    for raw in text.splitlines():
        line = raw.strip()
        if not begun and (not line or line[0] in "#!"):
            continue
        whole = begun + line
        if (len(whole) - len(whole.rstrip("\\"))) % 2:
            begun = whole[:-1]
        else:
            begun = ""
            yield whole
    if begun:
        yield begun


def _plain(value: str) -> str:
    """Undo the escapes of Java properties."""
    found = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), value)
    return re.sub(r"\\(.)", lambda one: _ESCAPES.get(one[1], one[1]), found)


def properties(conf: Mapping[str, str]) -> str:
    """Write settings as a file of Java properties."""
    return "".join(f"{key}={_escaped(value)}\n" for key, value in conf.items())


def _escaped(value: str) -> str:
    for sign, escape in (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r"), ("\f", "\\f")):
        value = value.replace(sign, escape)
    return value


def settings(given: Mapping[str, str], pod: str = "") -> dict[str, str]:
    """What Spark is started with: what is given wins over what suits this step.

    Args:
        given: settings that :func:`parse` read.
        pod: name of the step's own pod, if it runs in one.
    """
    if is_local(given):
        return {**_DEFAULTS, **_LOCAL, **_beside(given)}
    return {**_DEFAULTS, **_CLUSTER, **_address(given["spark.master"]), **_kubernetes(given, pod), **given}


def is_local(conf: Mapping[str, str]) -> bool:
    """Whether Spark runs inside the step."""
    return conf.get("spark.master", "local").startswith("local")


def wait(conf: Mapping[str, str]) -> float:
    """Seconds to go without an executor.

    Raises:
        SettingsError: it is no number.
    """
    try:
        return float(conf[WAIT])
    except ValueError:
        message = f"TIPHYS_SPARK_CONF: {WAIT} must be a number of seconds, not {conf[WAIT]!r}"
        raise SettingsError(message) from None


def _beside(given: Mapping[str, str]) -> dict[str, str]:
    """Libraries go onto the class path: from ``spark.jars`` a local Spark would copy 120 MB at every start."""
    conf = dict(given)
    jars = conf.pop("spark.jars", "").replace(",", ":")
    path = ":".join(each for each in (jars, conf.get("spark.driver.extraClassPath", "")) if each)
    return {**conf, "spark.driver.extraClassPath": path} if path else conf


def _address(master: str) -> dict[str, str]:
    """This machine's address on the way to the master: a pod's name, Spark's choice, is known to nobody but the pod."""
    first = master.removeprefix("k8s://").partition(",")[0]
    url = urlsplit(first if "://" in first else f"https://{first}")
    try:
        kind, _, _, _, target = socket.getaddrinfo(url.hostname, url.port or 443, type=socket.SOCK_DGRAM)[0]
        with socket.socket(kind, socket.SOCK_DGRAM) as way:
            way.connect(target)
            return {"spark.driver.host": str(way.getsockname()[0])}
    except (OSError, ValueError):
        return {}


def _kubernetes(given: Mapping[str, str], pod: str) -> dict[str, str]:
    """On Kubernetes: executors beside this pod, gone when it goes, and no freer than it is."""
    if not given["spark.master"].startswith("k8s://"):
        return {}
    conf = {"spark.kubernetes.executor.podTemplateFile": str(_EXECUTOR_POD), **_NOTHING_TO_REMOVE}
    if not _NAMESPACE.is_file():
        return conf
    own = _NAMESPACE.read_text(encoding="utf-8").strip()
    conf["spark.kubernetes.namespace"] = own
    if given.get("spark.kubernetes.namespace", own) == own and pod:
        conf["spark.kubernetes.driver.pod.name"] = pod  # the owner of the executors: Kubernetes removes them with it
    return conf
