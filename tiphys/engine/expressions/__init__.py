"""The expression language of `{{=...}}`, `valueFrom.expression`, hooks and retries: parse once, evaluate often."""

from tiphys.engine.expressions.environment import NOW, Environment, expand, has_variable
from tiphys.engine.expressions.evaluate import evaluate, evaluate_bool, is_function
from tiphys.engine.expressions.parser import parse
from tiphys.engine.expressions.syntax import identifiers

__all__ = [
    "NOW",
    "Environment",
    "evaluate",
    "evaluate_bool",
    "expand",
    "has_variable",
    "identifiers",
    "is_function",
    "parse",
]
