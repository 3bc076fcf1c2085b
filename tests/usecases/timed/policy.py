"""When it is learnt anew: as for the kettle without a clock, once a fifth of the boilings are as many as the canary asks about."""

from dataclasses import replace

from tests.usecases.tiny import policy

POLICY = replace(
    policy.POLICY,
    min_labelled=2000,
    reasons={
        **policy.POLICY.reasons,
        "min_labelled": "the canary asks about the newest fifth, and has enough after 400",
    },
)
