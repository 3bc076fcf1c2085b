"""What is asked of the service, and why. The same figures stand in README.md with their arithmetic; a test compares them."""

from __future__ import annotations

from tiphys.usecase import LoadProfile, Slo

SLO = Slo(
    p95_ms=50.0,
    p99_ms=100.0,
    deadline_ms=500.0,
    max_error_share=0.0,
    rate=200.0,
    concurrency=20,
    batch_rows_per_s=20_000.0,
    max_model_mb=25.0,
    max_loss=0.00005,
    reasons={
        "p95_ms": (
            "the estimate appears while the rider moves the pin; what comes within 100 ms feels immediate, and half of "
            "that is the phone's and the network's"
        ),
        "p99_ms": "one answer in a hundred may take the whole 100 ms: with the network it is late, but still seen as one step",
        "deadline_ms": (
            "the pin moves on after a second; the slowest percent of mobile networks takes a quarter of it each way, so an "
            "answer after 500 ms belongs to a question that nobody asks any more"
        ),
        "max_error_share": (
            "one error in a thousand would cost more each day than all servers do, and the status quo can always answer"
        ),
        "rate": (
            "New York's taxis and hired cars made about a million rides a day in 2019; a rider's app asks about ten times "
            "before a ride is booked (each move of the pin), and the busiest hour has 1.6 times the mean"
        ),
        "concurrency": "questions that are open at once in the busiest hour at the p95, and three times their spread above",
        "batch_rows_per_s": "the planners' table, every pair of zones in every hour of a week, in ten minutes of the night",
        "max_model_mb": "a phone on 10 Mbit/s takes it in 20 s, while its owner looks for the address: on-device stays open",
        "max_loss": (
            "a variant must not cost riders more time than it saves in servers: all error costs 133,000 $ a day, all "
            "servers 8 $, so six in a hundred thousand of the error are worth all of them"
        ),
    },
)

LOAD = LoadProfile(
    rate=SLO.rate,
    seconds=15.0,
    users=SLO.concurrency,
    p95_ms=SLO.p95_ms,
    max_p99_ms=SLO.p99_ms,
    max_error_share=SLO.max_error_share,
    reasons={
        "rate": SLO.reasons["rate"],
        "p95_ms": SLO.reasons["p95_ms"],
        "max_p99_ms": SLO.reasons["p99_ms"],
        "max_error_share": SLO.reasons["max_error_share"],
        "seconds": "long enough for 3,000 answers, of which 150 are slower than the p95: it is stable within a run",
        "users": SLO.reasons["concurrency"],
    },
)
