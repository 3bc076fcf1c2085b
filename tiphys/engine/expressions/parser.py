"""Parses expressions of the expr language (https://expr-lang.org), the one of Argo's `{{=...}}`."""

from __future__ import annotations

from functools import lru_cache

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import syntax
from tiphys.engine.expressions.lexer import Token, tokenize

_BINARY: dict[str, int] = {
    "|": 0, "or": 10, "||": 10, "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
_NEGATABLE = {"in", "matches", "contains", "startsWith", "endsWith"}
_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_CONSTANTS = {"true": True, "false": False, "nil": None}
# Builtins whose last argument is evaluated once for each element.
PREDICATE_BUILTINS = {
    "all": 1, "none": 1, "any": 1, "one": 1, "filter": 1, "map": 1, "count": 1, "sum": 1, "find": 1,
    "findIndex": 1, "findLast": 1, "findLastIndex": 1, "groupBy": 1, "sortBy": 1, "reduce": 1,
}  # fmt: skip


@lru_cache(maxsize=4096)
def parse(text: str) -> syntax.Node:
    """Parse `text`. Raises ExpressionError that shows the place."""
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._index = 0
        self._depth = 0

    @property
    def _token(self) -> Token:
        return self._tokens[min(self._index, len(self._tokens) - 1)]

    def _fail(self, what: str) -> ExpressionError:
        token = self._token
        at = max(0, token.position - 1) if token.kind == "end" else token.position
        return ExpressionError(what, at).shown_in(self._text)

    def _unexpected(self) -> str:
        token = self._token
        if token.kind == "end":
            return "unexpected token EOF"
        kind = {"number": "Number", "string": "String", "name": "Identifier"}.get(token.kind, "Operator")
        return f'unexpected token {kind}("{token.value}")'

    def _advance(self) -> Token:
        token = self._token
        self._index += 1
        return token

    def _is(self, value: str) -> bool:
        return self._token.kind == "operator" and self._token.value == value

    def _accept(self, value: str) -> bool:
        if self._is(value):
            self._index += 1
            return True
        return False

    def _expect(self, value: str) -> None:
        if not self._accept(value):
            msg = f"expected {value!r}, found {self._token.value!r}"
            raise self._fail(msg)

    def whole(self) -> syntax.Node:
        tree = self._sequence()
        if self._token.kind != "end":
            raise self._fail(self._unexpected())
        return tree

    def _sequence(self) -> syntax.Node:
        if self._token.kind == "name" and self._token.value == "let":
            return self._let()
        if self._token.kind == "name" and self._token.value == "if":
            return self._if()
        return self._expression(0)

    def _let(self) -> syntax.Node:
        self._advance()
        name = self._advance()
        if name.kind != "name":
            msg = "expected a name after let"
            raise self._fail(msg)
        self._expect("=")
        value = self._expression(0)
        self._expect(";")
        return syntax.Let(name.value, value, self._sequence())

    def _if(self) -> syntax.Node:
        self._advance()
        test = self._expression(0)
        yes = self._block()
        if not (self._token.kind == "name" and self._token.value == "else"):
            msg = "expected else"
            raise self._fail(msg)
        self._advance()
        follows_if = self._token.kind == "name" and self._token.value == "if"
        return syntax.Conditional(test, yes, self._if() if follows_if else self._block())

    def _block(self) -> syntax.Node:
        self._expect("{")
        body = self._sequence()
        self._expect("}")
        return body

    def _expression(self, strength: int) -> syntax.Node:
        left = self._prefix()
        while self._token.kind == "operator":
            negated, operator = self._peek_operator()
            binding = _BINARY.get(operator)
            if binding is None or binding < strength:
                break
            self._index += 2 if negated else 1
            left = self._binary(left, operator, binding)
            if negated:
                left = syntax.Unary("not", left)
        return self._conditional(left) if strength == 0 else left

    def _peek_operator(self) -> tuple[bool, str]:
        following = self._tokens[min(self._index + 1, len(self._tokens) - 1)]
        if self._token.value == "not" and following.kind == "operator" and following.value in _NEGATABLE:
            return True, following.value
        return False, self._token.value

    def _binary(self, left: syntax.Node, operator: str, binding: int) -> syntax.Node:
        at = self._tokens[self._index - 1].position
        if operator == "|":
            return self._pipe(left)
        right_binds_tighter = operator in ("**", "^")
        right = self._expression(binding if right_binds_tighter else binding + 1)
        return syntax.Binary(operator, left, right, at=at)

    def _pipe(self, left: syntax.Node) -> syntax.Node:
        name = self._advance()
        if name.kind != "name":
            msg = "expected a function after |"
            raise self._fail(msg)
        function: syntax.Node = syntax.Name(name.value, at=name.position)
        while self._accept("."):
            function = syntax.Member(function, syntax.Literal(self._advance().value), optional=False)
        arguments = self._arguments(name.value) if self._is("(") else ()
        return self._postfix(syntax.Call(function, (left, *arguments), at=name.position))

    def _conditional(self, test: syntax.Node) -> syntax.Node:
        if not self._accept("?"):
            return test
        if self._accept(":"):
            return syntax.Conditional(test, test, self._expression(0))
        yes = self._expression(0)
        self._expect(":")
        return syntax.Conditional(test, yes, self._expression(0))

    def _prefix(self) -> syntax.Node:
        token = self._token
        if token.kind == "operator" and token.value in _UNARY:
            self._advance()
            return self._postfix(syntax.Unary(token.value, self._expression(_UNARY[token.value])))
        return self._postfix(self._primary())

    def _primary(self) -> syntax.Node:  # noqa: PLR0911
        token = self._token
        if token.kind in ("number", "string"):
            self._advance()
            return syntax.Literal(token.value)
        if token.kind == "name":
            return self._named()
        if self._accept("("):
            inner = self._sequence()
            self._expect(")")
            return inner
        if self._accept("["):
            return self._array()
        if self._accept("{"):
            return self._mapping()
        if self._accept("#"):
            follows = self._token.kind == "name" and self._token.value in ("index", "acc")
            return syntax.Pointer(self._advance().value if follows else "")
        if self._is(".") and self._depth:
            return syntax.Pointer("")
        raise self._fail(self._unexpected())

    def _named(self) -> syntax.Node:
        token = self._advance()
        name, at = token.value, token.position
        if name in _CONSTANTS:
            return syntax.Literal(_CONSTANTS[name])
        if self._is("("):
            return syntax.Call(syntax.Name(name, at=at), self._arguments(name), at=at)
        return syntax.Name(name, at=at)

    def _arguments(self, function: str) -> tuple[syntax.Node, ...]:
        self._expect("(")
        found: list[syntax.Node] = []
        predicate_at = PREDICATE_BUILTINS.get(function)
        while not self._accept(")"):
            found.append(self._predicate() if self._holds_predicate(predicate_at, len(found)) else self._sequence())
            if not self._is(")"):
                self._expect(",")
        return tuple(found)

    def _holds_predicate(self, predicate_at: int | None, index: int) -> bool:
        # A piped call has its first argument on the left, so its predicate comes first here.
        return predicate_at is not None and (index == predicate_at or (index == 0 and self._piped()))

    def _piped(self) -> bool:
        return self._is("{") or self._is("#") or self._is(".")

    def _predicate(self) -> syntax.Node:
        self._depth += 1
        if self._accept("{"):
            body = self._sequence()
            self._expect("}")
        else:
            body = self._expression(0)
        self._depth -= 1
        return syntax.Predicate(body)

    def _array(self) -> syntax.Node:
        items: list[syntax.Node] = []
        while not self._accept("]"):
            items.append(self._expression(0))
            if not self._is("]"):
                self._expect(",")
        return syntax.Array(tuple(items))

    def _mapping(self) -> syntax.Node:
        pairs: list[tuple[syntax.Node, syntax.Node]] = []
        while not self._accept("}"):
            pairs.append((self._mapping_key(), self._mapping_value()))
            if not self._is("}"):
                self._expect(",")
        return syntax.Mapping(tuple(pairs))

    def _mapping_key(self) -> syntax.Node:
        if self._token.kind in ("name", "string", "number"):
            return syntax.Literal(str(self._advance().value))
        if self._accept("("):
            key = self._expression(0)
            self._expect(")")
            return key
        msg = "a map key must be a text, a number, a name or an expression in parentheses"
        raise self._fail(msg)

    def _mapping_value(self) -> syntax.Node:
        self._expect(":")
        return self._expression(0)

    def _postfix(self, node: syntax.Node) -> syntax.Node:
        optional = False
        while self._token.kind == "operator" and self._token.value in (".", "?.", "["):
            token = self._advance()
            optional = optional or token.value == "?."
            node = self._index_or_slice(node, token) if token.value == "[" else self._member(node, token.value)
        return syntax.Chain(node) if optional else node

    def _member(self, node: syntax.Node, operator: str) -> syntax.Node:
        if operator == "?." and self._accept("["):
            token, key = self._token, self._expression(0)
            self._expect("]")
            return syntax.Member(node, key, optional=True, at=token.position)
        token = self._advance()
        if token.kind not in ("name", "operator") or not str(token.value)[:1].isidentifier():
            msg = f"expected a name after {operator}"
            raise self._fail(msg)
        member = syntax.Member(node, syntax.Literal(token.value), optional=operator == "?.", at=token.position)
        if self._is("("):
            return syntax.Call(member, self._arguments(""), at=token.position)
        return member

    def _index_or_slice(self, node: syntax.Node, bracket: Token) -> syntax.Node:
        start = None if self._is(":") else self._expression(0)
        if self._accept(":"):
            end = None if self._is("]") else self._expression(0)
            self._expect("]")
            return syntax.Slice(node, start, end)
        self._expect("]")
        if start is None:
            msg = "an index is missing"
            raise self._fail(msg)
        return syntax.Member(node, start, optional=False, at=bracket.position)
