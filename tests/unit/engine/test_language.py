"""Expressions, conditions, tags, YAML: what a text means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiphys.engine.depends import Dependencies, holds
from tiphys.engine.durations import seconds, words
from tiphys.engine.environment import expand_references
from tiphys.engine.errors import ExpressionError, ManifestError, TemplateError
from tiphys.engine.expressions import evaluate, identifiers, parse
from tiphys.engine.fanout import expand_step, sequence
from tiphys.engine.gotext import go_float, go_json, go_value, parse_json
from tiphys.engine.load import load_text
from tiphys.engine.nodes import fnv32a, node_id, pod_name
from tiphys.engine.substitute import ALL, fill
from tiphys.engine.when import should_execute

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("2 ** 3 ** 2", 512.0),
        ("-2 ** 2", -4.0),
        ("7 / 2", 3.5),
        ("-7 % 3", -1),
        ("1..3", [1, 2, 3]),
        ("a.b?.c ?? 'none'", "none"),
        ("not (1 in [2])", True),
        ("1 not in [2]", True),
        ("'x' + string(1.5)", "x1.5"),
        ("let x = 2; x * x", 4),
        ("if 1 > 2 { 'a' } else if 1 > 0 { 'b' } else { 'c' }", "b"),
        ("[1, 2, 3] | filter(# > 1) | map(# * 10)", [20, 30]),
        ("reduce([1, 2], #acc + #, 10)", 13),
        ("{'a': [1, {'b': 2}]}.a[1].b", 2),
        ("'abc'[-2:]", "bc"),
        ("sprig.trimSuffix('-x', 'name-x')", "name"),
        ('jsonpath(\'{"a": [{"b": 1}, {"b": 2}]}\', \'$.a[?(@.b > 1)].b\')', [2]),
        ("true ? 1 : 2 // comment", 1),
        ("`raw \\n`", "raw \\n"),
    ],
)
def test_an_expression_has_the_value_that_expr_gives(text: str, value: Any) -> None:
    """An expression has the value that expr gives."""
    assert evaluate(text, {"a": {"b": {}}}) == value


@pytest.mark.parametrize(
    "text", ["1 +", "nofunc(1)", "[1][5]", "'a' - 1", "(1", "'open", "__import__('os')", "a.__class__.x"]
)
def test_a_bad_expression_is_an_error_and_never_python(text: str) -> None:
    """A bad expression is an error and never Python."""
    with pytest.raises(ExpressionError):
        evaluate(text, {"a": "text"})


def test_an_error_shows_the_place() -> None:
    """An error shows the place."""
    with pytest.raises(ExpressionError, match=r"unknown name nope \(1:5\)\n \| 1 \+ nope\n \| \.\.\.\.\^"):
        evaluate("1 + nope", {})


def test_names_behind_a_fallback_may_be_missing() -> None:
    """Names behind a fallback may be missing."""
    assert "tasks.a.outputs.result" not in identifiers(parse("tasks.a.outputs.result ?? 'x'"))
    assert "tasks.a.outputs.result" in identifiers(parse("tasks.a.outputs.result == 'x'"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_to_json_writes_is_json(value: Any) -> None:
    """What toJson writes is JSON."""
    assert json.loads(go_json(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_from_its_go_form(value: float) -> None:
    """A float reads back from its Go form."""
    assert float(go_float(value)) == value


@example("0|")
@given(st.text(max_size=40))
def test_no_text_crashes_the_parsers(text: str) -> None:
    """No text crashes the parsers."""
    for parser in (parse, should_execute):
        try:
            parser(text)
        except TemplateError:
            continue


@pytest.mark.parametrize(
    ("condition", "result"),
    [
        ("", True),
        ("a == a", True),
        ("'tails' == heads", False),
        ("5 > 10", False),
        ("'5' > '10'", True),
        ("x in (a, x)", True),
        ("! (a == b) && c =~ '^c$'", True),
        ("true", True),
        ("1 + 1 == 2 || nope", True),
    ],
)
def test_when_reads_bare_words_as_texts(condition: str, *, result: bool) -> None:
    """When reads bare words as texts."""
    assert should_execute(condition) is result


def test_a_condition_that_is_no_boolean_says_so() -> None:
    """A condition that is no boolean says so."""
    with pytest.raises(TemplateError, match=r"Expected boolean evaluation for 'word'\. Got word"):
        should_execute("word")


def test_tags_are_filled_once_and_unknown_ones_stay() -> None:
    """Tags are filled once and unknown ones stay."""
    values = {"inputs.parameters.a": "{{inputs.parameters.a}}", "b": 'quote " and \\n'}
    assert fill({"x": "{{inputs.parameters.a}} {{ b }} {{later}}"}, values) == {
        "x": '{{inputs.parameters.a}} quote " and \\n {{later}}'
    }


def test_a_strict_tag_without_a_value_is_an_error() -> None:
    """A strict tag without a value is an error."""
    with pytest.raises(TemplateError, match=r"failed to resolve \{\{item.zz\}\}"):
        fill("{{item.zz}}", {"item": "x"}, ALL)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"])))
def test_all_inputs_as_one_json_file_are_byte_exact(value: str) -> None:
    """All inputs as one JSON file are byte exact."""
    filled = fill("{{=sprig.replace('$', '$$', toJson(inputs.parameters))}}", {"inputs.parameters.v": value})
    assert json.loads(expand_references(filled, {"HOME": "leak"})) == {"v": value}


def test_loops_name_their_children_as_argo_does() -> None:
    """Loops name their children as Argo does."""
    step = {"name": "s", "withParam": '[{"b": "x", "a": 1.0}, "f(x)", [1, "a"], null]', "template": "t"}
    names = [one["name"] for one in expand_step(step, {})]
    assert names == ["s(0:a:1.0,b:x)", "s(1:fx)", "s(2:[1 a])", "s(3:[])"]


def test_sequences_count_both_ways() -> None:
    """Sequences count both ways."""
    assert sequence({"start": "3", "end": "1"}) == ["3", "2", "1"]
    assert sequence({"count": "2", "format": "x%03d"}) == ["x000", "x001"]
    assert sequence({"count": "0"}) == []


def test_depends_expands_bare_names_and_reads_hyphens() -> None:
    """Depends expands bare names and reads hyphens."""
    graph = Dependencies([{"name": "a-1"}, {"name": "b"}, {"name": "c", "depends": "a-1 && !b.Failed"}])
    assert graph.of("c") == ["a-1", "b"]
    assert graph.logic("c") == "(a-1.Succeeded || a-1.Skipped || a-1.Daemoned) && !b.Failed"
    done = {"Succeeded": True, "Skipped": False, "Daemoned": False, "Failed": False}
    assert holds(graph.logic("c"), {"a-1": done, "b": done})


def test_a_long_chain_has_all_its_ancestors() -> None:
    """A long chain has all its ancestors."""
    tasks = [{"name": f"t{index}", "depends": f"t{index - 1}" if index else ""} for index in range(3000)]
    assert len(Dependencies(tasks).ancestors("t2999")) == 2999


def test_yaml_is_read_as_argo_reads_it() -> None:
    """YAML is read as Argo reads it."""
    document = load_text("kind: x\na: yes\nb: n\nc: 1e3\nd: 2020-01-01\ne: 0o17\nf: 'on'")[0]
    assert (document["a"], document["b"], document["c"], document["d"], document["f"]) == (
        True,
        False,
        1000.0,
        "2020-01-01",
        "on",
    )


def test_a_key_given_twice_is_refused() -> None:
    """A key given twice is refused."""
    with pytest.raises(ManifestError, match="'a' is given twice"):
        load_text("kind: x\na: 1\na: 2")


def test_ids_are_argos() -> None:
    """Ids are Argo's."""
    assert (fnv32a(""), fnv32a("a")) == (0x811C9DC5, 0xE40C292C)
    assert node_id("wf", "wf") == "wf"
    assert pod_name("wf", "wf.a", "t") == f"wf-t-{fnv32a('wf.a')}"


def test_durations() -> None:
    """Durations."""
    assert (seconds("1h2m3.5s"), seconds("10"), words(90)) == (3723.5, 10.0, "1 minute 30 seconds")
    with pytest.raises(TemplateError, match="a number with a unit"):
        seconds("soon")


def test_values_print_as_in_go() -> None:
    """Values print as in Go."""
    assert go_value([1, "a", 2.5, None, {"k": True}]) == "[1 a 2.5 <nil> map[k:true]]"
    assert go_json({"b": "<", "a": 1.0}) == '{"a":1,"b":"\\u003c"}'
    with pytest.raises(ValueError, match="invalid character 'h' looking for beginning of value"):
        parse_json("hello")
