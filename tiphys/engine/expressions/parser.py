"""Parses expressions of the expr language (https://expr-lang.org), the one of Argo's `{{=...}}`."""

from __future__ import annotations

from functools import lru_cache

from tiphys.engine.errors import ExpressionError
from tiphys.engine.expressions import syntax
from tiphys.engine.expressions.lexer import Token, tokenize
from tiphys.engine.expressions.literals import number

_BINARY: dict[str, int] = {
    "|": 0, "or": 10, "||": 10, "and": 15, "&&": 15,
    "==": 20, "!=": 20, "<": 20, ">": 20, ">=": 20, "<=": 20,
    "in": 20, "matches": 20, "contains": 20, "startsWith": 20, "endsWith": 20,
    "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60, "**": 100, "^": 100, "??": 500,
}  # fmt: skip
_RIGHT = {"**", "^"}
_COMPARISONS = {"<", ">", "<=", ">="}
_NEGATABLE = {"in", "matches", "contains", "startsWith", "endsWith"}
_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_CONSTANTS = {"true": True, "false": False, "nil": None}
_MOST_NODES = 10_000
_KINDS = {"number": "Number", "string": "String", "name": "Identifier", "bytes": "Bytes", "bracket": "Bracket"}
# How many arguments: at least, at most; the second one is evaluated once for each element.
PREDICATE_BUILTINS = {
    "all": (2, 2), "none": (2, 2), "any": (2, 2), "one": (2, 2), "filter": (2, 2), "map": (2, 2), "count": (1, 2),
    "sum": (1, 2), "find": (2, 2), "findIndex": (2, 2), "findLast": (2, 2), "findLastIndex": (2, 2), "groupBy": (2, 2),
    "sortBy": (2, 3), "reduce": (2, 3),
}  # fmt: skip
BUILTIN_NAMES = frozenset(PREDICATE_BUILTINS) | frozenset(
    [
        "len",
        "type",
        "abs",
        "ceil",
        "floor",
        "round",
        "int",
        "float",
        "string",
        "trim",
        "trimPrefix",
        "trimSuffix",
        "upper",
        "lower",
        "split",
        "splitAfter",
        "replace",
        "repeat",
        "join",
        "indexOf",
        "lastIndexOf",
        "hasPrefix",
        "hasSuffix",
        "max",
        "min",
        "mean",
        "median",
        "toJSON",
        "fromJSON",
        "toBase64",
        "fromBase64",
        "now",
        "duration",
        "date",
        "timezone",
        "first",
        "last",
        "get",
        "take",
        "keys",
        "values",
        "toPairs",
        "fromPairs",
        "reverse",
        "uniq",
        "concat",
        "flatten",
        "sort",
        "bitand",
        "bitor",
        "bitxor",
        "bitnand",
        "bitshl",
        "bitshr",
        "bitushr",
        "bitnot",
    ],
)


@lru_cache(maxsize=4096)
def parse(text: str) -> syntax.Node:
    """Parse `text`. Raises ExpressionError that shows the place."""
    try:
        return _Parser(text).whole()
    except RecursionError:
        msg = "the expression is nested too deeply; give parts of it names with 'let'"
        raise ExpressionError(msg) from None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._index = 0
        self._depth = 0

    @property
    def _token(self) -> Token:
        return self._tokens[min(self._index, len(self._tokens) - 1)]

    def _fail(self, what: str, token: Token | None = None) -> ExpressionError:
        token = token or self._token
        at = max(0, token.position - 1) if token.kind == "end" else token.position
        return ExpressionError(what, at).shown_in(self._text)

    def _unexpected(self) -> ExpressionError:
        token = self._token
        if token.kind == "end":
            return self._fail("unexpected token EOF")
        return self._fail(f'unexpected token {_KINDS.get(token.kind, "Operator")}("{token.value}")')

    def _advance(self) -> Token:
        token = self._token
        if self._index + 1 < len(self._tokens):
            self._index += 1
        return token

    def _is(self, *values: str) -> bool:
        return self._token.kind in ("operator", "bracket") and self._token.value in values

    def _accept(self, value: str) -> bool:
        if self._is(value):
            self._advance()
            return True
        return False

    def _expect(self, value: str) -> None:
        if not self._accept(value):
            raise self._unexpected()

    def whole(self) -> syntax.Node:
        if len(self._tokens) > _MOST_NODES:
            raise self._fail("compilation failed: expression exceeds maximum allowed nodes")
        tree = self._sequence()
        if self._token.kind != "end":
            raise self._unexpected()
        return tree

    def _sequence(self) -> syntax.Node:
        parts = [self._expression(0)]
        while self._accept(";"):
            if self._token.kind == "end":
                break
            parts.append(self._expression(0))
        return parts[0] if len(parts) == 1 else syntax.Sequence(tuple(parts), at=parts[0].at)

    def _expression(self, level: int) -> syntax.Node:
        if level == 0 and self._is("let"):
            return self._let()
        if level == 0 and self._is("if"):
            return self._if()
        left, before = self._primary(), ""
        while self._token.kind == "operator":
            operator, negated = self._operator(level)
            if operator is None:
                break
            if before == "??" and operator.value not in ("??", "|"):
                what = f"Operator ({operator.value}) and coalesce expressions (??) cannot be mixed. Wrap either by parentheses."
                raise self._fail(what, operator)
            left = self._joined(left, operator)
            if negated:
                left = syntax.Unary("not", left, at=operator.position)
            before = operator.value
        return self._conditional(left) if level == 0 else left

    def _operator(self, level: int) -> tuple[Token | None, bool]:
        """The binary operator that stands here, taken, if it binds at least as tightly as `level`."""
        token, negated = self._token, self._is("not")
        if negated:
            following = self._tokens[min(self._index + 1, len(self._tokens) - 1)]
            if following.value not in _NEGATABLE or following.kind != "operator":
                self._advance()
                raise self._unexpected()
            token = following
        if _BINARY.get(token.value, -1) < level:
            return None, False
        self._index += 2 if negated else 1
        return token, negated

    def _joined(self, left: syntax.Node, operator: Token) -> syntax.Node:
        symbol, level = operator.value, _BINARY[operator.value]
        if symbol == "|":
            return self._piped(left)
        if symbol in _COMPARISONS:
            return self._compared(left, operator)
        right = self._expression(level if symbol in _RIGHT else level + 1)
        return syntax.Binary(symbol, left, right, at=operator.position)

    def _compared(self, left: syntax.Node, operator: Token) -> syntax.Node:
        """`a < b < c` means `a < b && b < c`."""
        whole: syntax.Node | None = None
        while True:
            right = self._expression(_BINARY[operator.value] + 1)
            one = syntax.Binary(operator.value, left, right, at=operator.position)
            whole = one if whole is None else syntax.Binary("&&", whole, one, at=operator.position)
            if not self._is(*_COMPARISONS):
                return whole
            left, operator = right, self._advance()

    def _let(self) -> syntax.Node:
        self._advance()
        name = self._name()
        self._expect("=")
        value = self._expression(0)
        self._expect(";")
        return syntax.Let(name.value, value, self._sequence(), at=name.position)

    def _name(self) -> Token:
        if self._token.kind != "name":
            raise self._unexpected()
        return self._advance()

    def _if(self) -> syntax.Node:
        self._advance()
        test = self._expression(0)
        yes = self._block()
        self._expect("else")
        return syntax.Conditional(test, yes, self._if() if self._is("if") else self._block())

    def _block(self) -> syntax.Node:
        self._expect("{")
        body = self._sequence()
        self._expect("}")
        return body

    def _conditional(self, test: syntax.Node) -> syntax.Node:
        while self._accept("?"):
            if self._accept(":"):
                test = syntax.Conditional(test, test, self._expression(0))
                continue
            yes = self._expression(0)
            self._expect(":")
            test = syntax.Conditional(test, yes, self._expression(0))
        return test

    def _primary(self) -> syntax.Node:
        token = self._token
        if token.kind == "operator" and token.value in _UNARY:
            self._advance()
            return self._postfix(syntax.Unary(token.value, self._expression(_UNARY[token.value]), at=token.position))
        if self._accept("("):
            inner = self._sequence()
            self._expect(")")
            return self._postfix(inner)
        if self._depth and self._is("#", "."):
            return self._postfix(self._pointer())
        if self._accept("::"):
            return self._postfix(self._call(self._name(), ()))
        return self._secondary()

    def _pointer(self) -> syntax.Node:
        token = self._token
        if token.value == ".":
            return syntax.Pointer("", at=token.position)
        self._advance()
        return syntax.Pointer(self._advance().value if self._token.kind == "name" else "", at=token.position)

    def _secondary(self) -> syntax.Node:
        token = self._token
        if token.kind == "number":
            self._advance()
            return syntax.Literal(number(token, self._text), at=token.position)
        if token.kind == "name":
            return self._named()
        if token.kind in ("string", "bytes"):
            self._advance()
            value = token.value if token.kind == "string" else bytes(ord(c) for c in token.value if ord(c) < 256)  # noqa: PLR2004
            return self._postfix(syntax.Literal(value, at=token.position))
        if self._is("["):
            return self._postfix(self._array())
        if self._is("{"):
            return self._postfix(self._mapping())
        raise self._unexpected()

    def _named(self) -> syntax.Node:
        token = self._advance()
        if token.value in _CONSTANTS:
            return syntax.Literal(_CONSTANTS[token.value], at=token.position)
        if self._is("("):
            return self._postfix(self._call(token, ()))
        return self._postfix(syntax.Name(token.value, at=token.position))

    def _piped(self, left: syntax.Node) -> syntax.Node:
        return self._call(self._name(), (left,))

    def _call(self, name: Token, before: tuple[syntax.Node, ...]) -> syntax.Node:
        if name.value in PREDICATE_BUILTINS:
            return syntax.Builtin(name.value, self._with_predicate(name.value, before), at=name.position)
        if name.value in BUILTIN_NAMES:
            return syntax.Builtin(name.value, before + self._arguments(), at=name.position)
        return syntax.Call(syntax.Name(name.value, at=name.position), before + self._arguments(), at=name.position)

    def _with_predicate(self, name: str, before: tuple[syntax.Node, ...]) -> tuple[syntax.Node, ...]:
        least, most = PREDICATE_BUILTINS[name]
        self._expect("(")
        found = list(before)
        for position in range(len(before), most):
            if self._is(")"):
                if position >= least:
                    break
                raise self._fail(f"expected at least {least - len(before)} arguments")
            if len(found) > len(before):
                self._expect(",")
            found.append(self._predicate() if position == 1 else self._expression(0))
        self._accept(",")
        self._expect(")")
        return tuple(found)

    def _predicate(self) -> syntax.Node:
        at = self._token.position
        self._depth += 1
        if self._accept("{"):
            body = self._sequence()
            self._depth -= 1
            self._expect("}")
        else:
            body = self._expression(0)
            self._depth -= 1
            if self._is(";"):
                raise self._fail("wrap predicate with brackets { and }")
        return syntax.Predicate(body, at=at)

    def _arguments(self) -> tuple[syntax.Node, ...]:
        self._expect("(")
        return self._until(")")

    def _until(self, end: str) -> tuple[syntax.Node, ...]:
        found: list[syntax.Node] = []
        while not self._accept(end):
            if found:
                self._expect(",")
                if self._accept(end):
                    break
            found.append(self._expression(0))
        return tuple(found)

    def _array(self) -> syntax.Node:
        token = self._advance()
        return syntax.Array(self._until("]"), at=token.position)

    def _mapping(self) -> syntax.Node:
        token = self._advance()
        pairs: list[tuple[syntax.Node, syntax.Node]] = []
        while not self._accept("}"):
            if pairs:
                self._expect(",")
                if self._accept("}"):
                    break
            key = self._mapping_key()
            self._expect(":")
            pairs.append((key, self._expression(0)))
        return syntax.Mapping(tuple(pairs), at=token.position)

    def _mapping_key(self) -> syntax.Node:
        if self._token.kind in ("name", "string", "number"):
            token = self._advance()
            return syntax.Literal(token.value, at=token.position)
        if self._is("("):
            return self._expression(0)
        raise self._fail(
            "a map key must be a quoted string, a number, a identifier, or an expression enclosed in parentheses"
        )

    def _postfix(self, node: syntax.Node) -> syntax.Node:
        while self._is(".", "?.", "["):
            token = self._advance()
            optional = token.value == "?."
            if token.value == "[" or (optional and self._accept("[")):
                node = self._index_or_slice(node, token, optional=optional)
            else:
                node = self._member(node, optional=optional)
        return node

    def _member(self, node: syntax.Node, *, optional: bool) -> syntax.Node:
        token = self._advance()
        if token.kind != "name" and not (token.kind == "operator" and token.value.isalpha()):
            raise self._fail("expected name")
        chained = isinstance(node, syntax.Chain)
        if isinstance(node, syntax.Chain):
            node = node.body
        key, at = syntax.Literal(token.value, at=token.position), token.position
        made: syntax.Node = syntax.Member(node, key, optional, called=self._is("("), at=at)
        if self._is("("):
            made = syntax.Call(made, self._arguments(), at=at)
        return syntax.Chain(made, at=at) if chained or optional else made

    def _index_or_slice(self, node: syntax.Node, bracket: Token, *, optional: bool) -> syntax.Node:
        at = bracket.position
        start = None if self._is(":") else self._expression(0)
        if self._accept(":"):
            end = None if self._is("]") else self._expression(0)
            self._expect("]")
            return syntax.Slice(node, start, end, at=at)
        self._expect("]")
        assert start is not None  # noqa: S101
        made = syntax.Member(node, start, optional, at=at)
        return syntax.Chain(made, at=at) if optional else made
