"""When it is learnt anew: as for the kettle without a clock, from as many boilings as a training needs."""

from dataclasses import replace

from tests.usecases.tiny import policy

POLICY = replace(
    policy.POLICY,
    min_labelled=300,
    reasons={**policy.POLICY.reasons, "min_labelled": "a training learns from 250 recent ones, and some are doubtful"},
)
