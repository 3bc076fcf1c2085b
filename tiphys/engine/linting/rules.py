"""The rules of `tiphys lint`, and what one of them has found."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

Json = dict[str, Any]
ERROR, WARNING = "error", "warning"
UNREADABLE = "unreadable"
OPT_OUT = "tiphys/lint-ignore"
"""Annotation of a Workflow or of a template: the names of rules that do not count there, with commas between them."""


@dataclass(frozen=True)
class Rule:
    """`refused`: the engine would not run it, so that nothing but a correction helps."""

    name: str
    severity: str
    about: str
    refused: bool = False


RULES = {
    rule.name: rule
    for rule in (
        Rule("invalid", ERROR, "a shape, field or value that Argo or the engine refuses", refused=True),
        Rule(UNREADABLE, ERROR, "a file that is not there or no text; always ends with 2", refused=True),
        Rule("not-yaml", ERROR, "a file that can't be read as manifests", refused=True),
        Rule("unknown-field", ERROR, "a field that no Argo knows", refused=True),
        Rule("not-here", ERROR, "what needs a cluster: refused fields, images without a stand-in", refused=True),
        Rule(
            "unknown-template", ERROR, "a template, or a template of another resource, that is not there", refused=True
        ),
        Rule(
            "missing-argument", ERROR, "a call that leaves an input without a value, of a templateRef too", refused=True
        ),
        Rule("duplicate-name", ERROR, "two templates, steps, tasks or parameters of one name", refused=True),
        Rule("dependency", ERROR, "a dependency on a task that is not there, on itself, or in a circle", refused=True),
        Rule("retry-policy", ERROR, "a retryPolicy that does not exist", refused=True),
        Rule(
            "unresolved-reference",
            ERROR,
            "a {{tag}} that nothing gives a value: no ancestor, no such output",
            refused=True,
        ),
        Rule("unresolved-expression", ERROR, "an expression that can't be read, or names what has no value there"),
        Rule("no-such-output", ERROR, "{{workflow.outputs...}} that no template exports by a globalName"),
        Rule("parameter-in-code", ERROR, "a value pasted into a program: script.source, or what follows -c or -e"),
        Rule("open-secret", ERROR, "a secret's value in the manifest"),
        Rule("maybe-secret", WARNING, "a text that looks like a key: random, and long"),
        Rule("floating-image", WARNING, "an image by :latest or without a tag: another program tomorrow"),
        Rule(
            "unknown-argument", WARNING, "an argument that the called template does not declare, of a templateRef too"
        ),
        Rule("unknown-tag", WARNING, "{{something}} that Argo leaves as it is, because it knows no such variable"),
        Rule("item-outside-loop", WARNING, "{{item}} in a step without withItems, withParam or withSequence"),
        Rule("unused-template", WARNING, "a template of a Workflow that nothing calls"),
        Rule("duplicate-object", WARNING, "two objects of one kind and name in what is looked at"),
    )
}
_KINDS = (
    (r'unknown field "', "unknown-field"),
    (r"has no stand-in|ErrImageNeverPull|needs? a cluster|can't be (fetched|written to) here|not (asked|run|used|supported) here|machine has|is not known on this machine", "not-here"),
    (r"missing dependency|failed to resolve", "unresolved-reference"),
    (r"was not supplied|is required: give the parameter|\.value or .*valueFrom is required", "missing-argument"),
    (r"is not unique|given twice|duplicated", "duplicate-name"),
    (r"template reference .* not found|template name '.*' undefined|WorkflowTemplate '.*' is not known", "unknown-template"),
    (r"sorting failed|dependency '|for task '.*' is invalid|dependency cycle", "dependency"),
    (r"RetryPolicy", "retry-policy"),
)  # fmt: skip
_KIND = [(re.compile(pattern), name) for pattern, name in _KINDS]


@dataclass(frozen=True)
class Finding:
    """One problem: `place` is where in the document, `line` where in the file, 0 if that is not known."""

    rule: str
    place: str
    message: str
    line: int = 0

    @property
    def severity(self) -> str:
        """`error` or `warning`."""
        return RULES[self.rule].severity

    def to_json(self) -> Json:
        """A JSON object."""
        return {**asdict(self), "severity": self.severity}


def refusal(message: str) -> Finding:
    """What the engine refuses, under the rule that it breaks."""
    rule = next((name for pattern, name in _KIND if pattern.search(message)), "invalid")
    return Finding(rule, "", message)
