"""Numbers that are known only when a run is on: read as Go reads them, and an Error in Argo's words where they are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tiphys.engine import Engine, ManifestError, load_text
from tiphys.engine.errors import TemplateError
from tiphys.engine.fanout import sequence
from tiphys.engine.goformat import sprintf
from tiphys.engine.gotext import go_int

pytestmark = pytest.mark.unit
LEAF = '  - {name: leaf, container: {image: "debian:12", command: ["true"]}}\n'


@pytest.mark.parametrize(
    ("pattern", "number", "text"),
    [
        ("%d", 7, "7"), ("%03d", 7, "007"), ("a%db", -1, "a-1b"), ("%-4d|", 5, "5   |"), ("%+d", 5, "+5"),
        ("%x", -255, "-ff"), ("%#X", 255, "0XFF"), ("%O", 255, "0o377"), ("%#o", 0, "0"), ("%b", 5, "101"),
        ("%v", 5, "5"), ("%s", 5, "%!s(int=5)"), ("%05s", 5, "%!s(int=00005)"), ("%f", 5, "%!f(int=5)"),
        ("%T", 5, "int"), ("%d%%", 5, "5%"), ("abc", 5, "abc%!(EXTRA int=5)"), ("%d-%d", 5, "5-%!d(MISSING)"),
        ("%d%", 5, "5%!(NOVERB)"), ("%8.3d|", -1, "    -001|"), ("%.0d", 0, ""), ("% 05d", 255, " 0255"),
    ],
)  # fmt: skip
def test_a_number_is_formatted_as_go_does(pattern: str, number: int, text: str) -> None:
    """The texts are those of fmt.Sprintf."""
    assert sprintf(pattern, number) == text


@pytest.mark.parametrize("pattern", ["%1000d", "%.1000d", "%*d", "%[1]d", "%q", '%d"'])
def test_a_format_that_gives_no_text_of_a_number_is_refused(pattern: str) -> None:
    """Also one that would fill the memory."""
    with pytest.raises(TemplateError, match=r"withSequence\.format"):
        sequence({"count": "1", "format": pattern})


@pytest.mark.parametrize(("text", "number"), [("10", 10), ("+5", 5), ("-3", -3), ("007", 7)])
def test_a_whole_number_is_what_go_takes_for_one(text: str, number: int) -> None:
    """With a sign, and with zeros in front."""
    assert go_int(text) == number


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1_0", "1.0", "abc", "0x1", "٣", "+", "1\n"])
def test_what_go_takes_for_no_whole_number_is_refused(text: str) -> None:
    """Python is more generous."""
    with pytest.raises(ValueError, match="invalid syntax"):
        go_int(text)


@pytest.mark.parametrize("text", ["9223372036854775808", "-9223372036854775809", "9" * 5000])
def test_a_whole_number_has_64_bits(text: str) -> None:
    """Go says that it is out of range."""
    with pytest.raises(ValueError, match="value out of range"):
        go_int(text)


def test_the_length_of_a_loop_is_no_number(machine: Any) -> None:
    """The step is an Error that quotes it."""
    run = machine(
        "  - {name: main, steps: [[{name: a, template: leaf, withSequence: {count: \"{{=' 1_0 '}}\"}}]]}\n" + LEAF
    )
    assert run.started == []
    assert 'strconv.Atoi: parsing " 1_0 ": invalid syntax' in run.run.message


@pytest.mark.parametrize(
    "strategy", ["limit: \"{{='abc'}}\"", "limit: 3, backoff: {duration: 1s, factor: \"{{='abc'}}\"}"]
)
def test_a_retry_strategy_with_no_number_is_an_error_in_argos_words(machine: Any, strategy: str) -> None:
    """When an attempt has failed and the number is needed (operator.go processNodeRetries)."""
    run = machine(f"""  - name: main
    retryStrategy: {{{strategy}}}
    container: {{image: "debian:12", command: ["false"]}}
""")
    run.end("wf(0)", "Failed")
    assert (run.node("wf").phase, run.node("wf").message) == ("Error", "value 'abc' cannot be resolved to an int")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("http: {url: 'http://x/', timeoutSeconds: abc}", "timeoutSeconds: a whole number"),
        ("http: {url: 'http://x/', bodyFrom: {bytes: abc}}", "bytes: base64"),
        ("retryStrategy: {limit: abc}, container: {image: 'debian:12', command: [x]}", "limit: a whole number"),
        ("retryStrategy: {limit: 1, backoff: {factor: 1.5}}, container: {image: 'debian:12', command: [x]}", "factor: a whole"),
    ],
)  # fmt: skip
def test_what_is_no_number_in_the_manifest_is_refused(tmp_path: Path, body: str, message: str) -> None:
    """Where Argo's types, or what stands there, leave no doubt."""
    text = f"kind: Workflow\nmetadata: {{name: w}}\nspec: {{entrypoint: main, templates: [{{name: main, {body}}}]}}"
    with pytest.raises(ManifestError, match=message):
        Engine(tmp_path).check(load_text(text))
