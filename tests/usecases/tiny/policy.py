"""A kettle may be learnt anew often."""

from tiphys.usecase import Policy

POLICY = Policy(
    debounce_s=60.0,
    cooldown_s=600.0,
    budget=3,
    budget_s=86400.0,
    min_labelled=250,
    reasons={
        "debounce_s": "an office boils water at the same minute",
        "cooldown_s": "tea takes ten minutes to drink",
        "budget": "three kettles a day may break",
        "budget_s": "a day",
        "min_labelled": "a retraining cuts 250 boilings since the change into those to learn from, to stop on and to judge on",
    },
)
