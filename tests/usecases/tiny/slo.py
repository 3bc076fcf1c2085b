"""A kettle is not asked often."""

from tiphys.usecase import LoadProfile

LOAD = LoadProfile(
    rate=50.0,
    seconds=4.0,
    users=2,
    p95_ms=100.0,
    max_error_share=0.0,
    reasons={
        "rate": "an office has fifty kettles",
        "p95_ms": "nobody waits longer for the estimate than for the switch",
        "max_error_share": "tea is important",
    },
)
