"""Regular expressions: RE2, with Go's refusals and Go's replacement texts, in time linear in the text."""

from __future__ import annotations

import pytest

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import evaluate
from tiphys.engine.expressions.regex import compile_regex
from tiphys.engine.when import should_execute

pytestmark = pytest.mark.unit
MANY = "a" * 5000 + "c"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["^(a+)+b", "(a|a)*b", "(a*)*b", "(.*a){12}b"])
def test_no_pattern_takes_longer_the_more_ways_there_are_to_match(pattern: str) -> None:
    """Backtracking would try each way, 2 to the power of the text's length, and hear no signal meanwhile."""
    assert not should_execute(f"'{MANY}' =~ '{pattern}'")
    assert evaluate(f'"{MANY}" matches "{pattern}"', {}) is False
    assert evaluate(f'sprig.regexFind("{pattern}", "{MANY}")', {}) == ""


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a", "missing closing ): `(a`"),
        ("a)", "unexpected ): `a)`"),
        ("[a", "missing closing ]: `[a`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        ("[b-a]", "invalid character class range: `b-a`"),
        ("(?P<n>a)(?P<n>b)", "invalid named capture: `(?P<n>`"),
        ("(?P<é>a)", "invalid named capture: `(?P<é>`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
    ],
)
def test_what_go_refuses_is_refused_with_its_words(pattern: str, reason: str) -> None:
    """The engine's C++ kin of Go's RE2 takes a little more and says it otherwise."""
    with pytest.raises(ExpressionError) as refused:
        compile_regex(pattern)
    assert str(refused.value) == f"error parsing regexp: {reason}"


@pytest.mark.parametrize("pattern", [r"\Q\C\E", r"\\C", r"(?P<n>a)\(?P<n>", r"\p{Greek}", "[[:alpha:]-z]"])
def test_what_go_takes_is_taken(pattern: str) -> None:
    r"""Quoted and escaped, `\C` and a name are no more than texts."""
    compile_regex(pattern)


def test_bytes_that_are_no_text_are_one_unknown_character_each() -> None:
    """As in Go; positions in the text stay as they are."""
    assert compile_regex("^a.b$").found_in("a\udcffb")
    assert evaluate('sprig.regexReplaceAll("b(.)", text, "<${1}x$1x>")', {"text": "a\udcffbc"}) == "a\udcff<cx>"


def test_a_group_with_a_number_of_many_digits_is_empty() -> None:
    """It is no group, in Go as here."""
    assert evaluate(f'sprig.regexReplaceAll("b", "abc", "<${"9" * 5000}>")', {}) == "a<>c"


def test_a_refused_pattern_says_nothing_but_its_error(capfd: pytest.CaptureFixture[str]) -> None:
    """RE2 itself would log to standard error."""
    with pytest.raises(ExpressionError):
        compile_regex("(never closed")
    assert capfd.readouterr() == ("", "")
