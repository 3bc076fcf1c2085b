"""When an alert may start a training, and why. All durations are of the city's clock."""

from __future__ import annotations

from tiphys.usecase import Policy

_HOUR, _DAY = 3600.0, 86400.0

POLICY = Policy(
    debounce_s=_HOUR,
    cooldown_s=_DAY,
    budget=6,
    budget_s=30 * _DAY,
    min_labelled=2000,
    reasons={
        "debounce_s": (
            "a change shows in one zone first and in its neighbours within the hour: alerts of that hour are one, and what "
            "is gone after it was a jam"
        ),
        "cooldown_s": (
            "a new model sees its first whole day, with night, rush hours and evening, before it can be said to be no better"
        ),
        "budget": "a training may take four hours: six are a day of two cores in a month, and a city changes less often than weekly",
        "budget_s": "bills are monthly",
        "min_labelled": (
            "2,000 rides tell the mean error to 2 %: ride errors spread about as wide as they are large, and 1/sqrt(2000) is 2.2 %"
        ),
    },
)
