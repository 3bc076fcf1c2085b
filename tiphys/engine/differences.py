"""Where the engine does not do what Argo does, on purpose: by recorded case, each with its reason and what we do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Why a case differs, the phase in which it ends here, and all that differs: anything else would be a defect."""

    reason: str
    phase: str
    places: tuple[str, ...]
    """How each difference begins: `node NAME, field`, or `node NAME: only here (phase)`."""


DELIBERATE: dict[str, Difference] = {
    "failed-steps-outputs": Difference(
        "a task that waits for an output which will never come hangs on Argo; here it is an Error that says why",
        "Failed",
        ("node WF.inner[1].bad, children: ", "node WF.waits: only here (Error)"),
    ),
    "unclosed-braces-at-run-time": Difference(
        "the message quotes the text with the open tag, not the whole template as Go prints it",
        "Failed",
        ("workflow, message: ", "node WF, message: ", "node WF[1], message: ", "node WF[1].open, message: "),
    ),
}

REFUSALS: dict[str, str] = {
    # The name is told, not how Argo takes the name apart.
    "depends-underscore-name-rejected": "templates.main.tasks.name 'b_2' is invalid: name must consist of",
    # The argument is told, not where its text ends up.
    "reject-control-character-value": "parameter 'c' holds a control character",
    "reject-unclosed-braces-in-value": "parameter 'open': Cannot find end tag=\"}}\" in 'a {{ b'",
    # The template is told, not who calls it.
    "reject-retry-policy": "templates.nop Sometimes is not a valid RetryPolicy",
    "template-defaults-inputs-rejected": "templates.con: failed to resolve {{inputs.parameters.extra}}",
    # The tag's name is told without its braces.
    "reject-tasks-name-first-in-argument": "templates.main.tasks.t1 missing dependency 'name' for parameter 'who'",
    # The place of the field is told too.
    "reject-unknown-field": 'templates.main.steps[0].a: unknown field "whenn"',
}
"""What the message of a refusal holds here, where it does not hold Argo's own words; by recorded case."""
