"""How much is asked of the service before it may serve riders, and why."""

from __future__ import annotations

from tiphys.usecase import LoadProfile

LOAD = LoadProfile(
    rate=200.0,
    seconds=15.0,
    users=16,
    p95_ms=50.0,
    max_error_share=0.0,
    reasons={
        "rate": (
            "New York's taxis and hired cars made about a million rides a day in 2019, some 20 a second in the busiest "
            "hour; a rider's app asks about ten times before a ride is booked (each move of the pin)"
        ),
        "p95_ms": (
            "the estimate appears while the rider moves the pin; what comes within 100 ms feels immediate, and half of "
            "that is the phone's and the network's"
        ),
        "max_error_share": "no booking goes through without an estimate: every error is a ride lost at a quiet load",
        "seconds": "long enough for 3,000 answers, of which 150 are slower than the p95: it is stable within a run",
        "users": "enough connections that a single slow answer does not hold back the rate",
    },
)
