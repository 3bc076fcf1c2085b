"""Substitution and expressions hold for any text: values stay what they are, and nothing but the engine's own errors gets out."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiphys.engine.errors import ExpressionError, TemplateError
from tiphys.engine.expressions import evaluate, identifiers, parse
from tiphys.engine.expressions.regex import compile_regex
from tiphys.engine.gotext import go_json, parse_json
from tiphys.engine.substitute import ALL, Substitution, fill
from tiphys.engine.when import should_execute

pytestmark = pytest.mark.unit
_HOSTILE = [
    "'; touch x #", "$(touch x)", "`touch x`", "{{=1 + 1}}", "{{workflow.name}}", "a\nb", "\t", "--help", "-rf", '"', "\\", "\\n", "<&>",
    "${HOME}", "%s %d", "\u2028", "😀", "{{", "}}", "{", "é\u0301", "true", "null", "0", "",
]  # fmt: skip
# Not format characters: Go quotes those above U+FFFF in a way that no JSON has, and Argo fails.
_words = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn")), max_size=30)
_values = st.one_of(st.sampled_from(_HOSTILE), _words)
_plain = st.text(st.characters(exclude_categories=("Cs",)), max_size=40).filter(lambda text: "{{" not in text)
_pieces = st.sampled_from(
    [*"()[]{}.,;:?!#'\"\\|&=+-*/%^<> \n`@~$0159ax_", "let ", "in ", "not ", "len(", "map(", "?.", "??", "..", "nil", "sprig.", "==", "0x", "1e",
     "and", "if ", "else", "'a'", "[1]", "matches ", "{# > 1}", "//", "/*", "b'"],
)  # fmt: skip
_soup = st.lists(_pieces, max_size=25).map("".join)
_BOMBS = [
    'repeat("x", 1000000000)',
    'repeat(repeat("x", 100000), 100000)',
    "1..1000000000",
    "map(1..1000, map(1..1000, map(1..1000, #)))",
    "2 ** 1e300 ** 1e300",
    'sprig.repeat(1000000000, "x")',
    "sprig.until(1000000000)",
    "sprig.untilStep(0, 1000000000, 1)",
    "sprig.seq(1, 1000000000)",
    'sprig.indent(1000000000, "x")',
    "bitshl(1, 9223372036854775807)",
    "sum(map(1..999999, 1..#))",
    "let d = sprig.dict('a', 1); sprig.set(d, 'd', d)",
    "9" * 5000,
    "(" * 20000,
    "[" * 5000 + "]" * 5000,
    "-" * 20000 + "1",
    "1" + "+1" * 6000,
    "a" + ".b" * 9000,
    "not " * 9000 + "true",
    "'" + "\\" * 9999,
]


@given(_plain)
def test_text_without_tags_is_not_changed(text: str) -> None:
    """What holds no tag comes out as it went in."""
    assert Substitution({"a": "b"}, ALL).text(text) == text


@given(_values, _plain, _plain)
def test_a_value_appears_as_it_is_and_is_never_read_again(value: str, before: str, after: str) -> None:
    """A value that looks like code or like a tag is text: it is put in once, character by character."""
    tail = after.lstrip("}")
    head = before.rstrip("{")
    written = Substitution({"inputs.parameters.v": value}, ALL).text(head + "{{inputs.parameters.v}}" + tail)
    assert written == head + value + tail


@given(_values)
def test_an_expression_gives_a_value_as_it_is(value: str) -> None:
    """`{{=...}}` of a parameter gives its text, whatever it looks like."""
    variables = {"inputs.parameters.v": value}
    assert Substitution(variables, ALL).text("{{=inputs.parameters.v}}") == value
    assert Substitution(variables, ALL).text("{{= inputs.parameters.v + '!' }}") == value + "!"


@given(st.sampled_from("\x00\x01\x07\x0b\x0e\x1b\x7f\U000e0001"))
def test_a_value_that_json_cannot_carry_is_refused(char: str) -> None:
    """Argo's own quoting breaks there: it ends in an error, and not in a text that differs."""
    with pytest.raises(TemplateError, match="invalid JSON"):
        Substitution({"v": f"a{char}b"}, ALL).text("{{v}}")


@given(
    st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), _plain), lambda inner: st.lists(inner, max_size=3))
)
def test_what_is_no_text_is_not_touched(tree: Any) -> None:
    """Numbers, booleans and lists without tags are the same objects afterwards."""
    assert fill(tree, {}, ALL) == tree


@given(_soup)
@example("{{=1")
@example("{{=")
def test_any_tag_is_filled_in_left_or_refused(text: str) -> None:
    """Whatever stands in a tag, the outcome is a text or an error of the engine."""
    for strict in ((), ALL, ("inputs",)):
        with contextlib.suppress(TemplateError):
            assert isinstance(Substitution({"a": "1"}, strict).text("{{=" + text + "}}"), str)


@given(st.one_of(_soup, st.text(max_size=40)))
def test_the_parser_refuses_only_with_its_own_error(text: str) -> None:
    """A text parses, or there is an ExpressionError; nothing else comes out, also when it runs."""
    with contextlib.suppress(ExpressionError):
        identifiers(parse(text))
        evaluate(text, {"a": {"b": [1, "x", None]}, "s": "text"})


@given(st.one_of(_soup, st.text(max_size=40)))
def test_a_condition_holds_or_is_refused(text: str) -> None:
    """`when` is true, false or an error of the engine, for any text."""
    with contextlib.suppress(TemplateError):
        assert should_execute(text) in (True, False)


@given(st.text("()[]{}*+?|\\^$.-,:=!<>PUimsdwbAzQEpLx0129aZ&~#", max_size=20))
def test_a_pattern_compiles_or_is_refused(pattern: str) -> None:
    """What RE2 refuses is an ExpressionError; the rest is a pattern that can be run."""
    with contextlib.suppress(ExpressionError):
        found = list(compile_regex(pattern).matches("some text"))
        assert compile_regex(pattern).found_in("some text") == bool(found)


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), _words),
                    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_words, inner, max_size=3))))  # fmt: skip
def test_json_as_go_writes_it_is_read_back_the_same(value: Any) -> None:
    """The JSON of a value is JSON, and means the same."""
    assert json.loads(go_json(value), parse_int=float) == value
    assert parse_json(go_json(value)) == value


@pytest.mark.parametrize("bomb", _BOMBS, ids=[bomb[:40] for bomb in _BOMBS])
def test_a_bomb_is_refused_or_defused(bomb: str) -> None:
    """What asks for a huge result, or nests without end, is refused with a reason; or it is a number after all."""
    with contextlib.suppress(ExpressionError):
        assert isinstance(evaluate(bomb, {}), (int, float))
    with contextlib.suppress(TemplateError):
        assert Substitution({}, ALL).text("{{=" + bomb + "}}")


@pytest.mark.parametrize("count", [50, 5000])
@pytest.mark.parametrize("shape", ["(1 == 1)", "!(true)", "1 + 1 == 2", "true && true"])
def test_a_condition_that_nests_without_end_is_refused(shape: str, count: int) -> None:
    """A deep condition holds or is refused; it never takes the engine down."""
    start, _, end = shape.partition("1" if "1" in shape else "true")
    with contextlib.suppress(TemplateError):
        assert should_execute(start * count + shape + end * count) in (True, False)


@pytest.mark.parametrize("text", ["{{=now()}}", "{{=sprig.now()}}", "{{=now().Unix()}}"])
def test_the_time_of_day_is_a_time(text: str) -> None:
    """`now()` is the one function whose answer is not in the vectors: it is a time in JSON's form, or a number."""
    written = Substitution({}, ALL).text(text)
    assert written.isdigit() or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", written)


@pytest.mark.parametrize("name", ["uuidv4", "randAlphaNum", "genPrivateKey", "getHostByName", "env", "expandenv"])
def test_functions_that_reach_outside_are_refused(name: str) -> None:
    """Nothing random, no key, no look-up of a host and no variable of the engine's own environment."""
    with pytest.raises(ExpressionError):
        evaluate(f"sprig.{name}('HOME')", {})
