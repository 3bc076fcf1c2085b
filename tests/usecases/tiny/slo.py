"""A kettle is not asked often."""

from tiphys.usecase import LoadProfile

LOAD = LoadProfile(
    rate=20.0,
    seconds=4.0,
    users=2,
    p95_ms=500.0,
    max_error_share=0.0,
    reasons={
        "rate": "an office has twenty kettles",
        "p95_ms": "nobody waits longer for the estimate than for the switch",
        "max_error_share": "tea is important",
    },
)
