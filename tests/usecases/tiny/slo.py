"""A kettle is not asked often."""

from tiphys.usecase import LoadProfile, Slo

SLO = Slo(
    p95_ms=500.0,
    p99_ms=1000.0,
    deadline_ms=2000.0,
    max_error_share=0.0,
    rate=20.0,
    concurrency=2,
    batch_rows_per_s=100.0,
    max_model_mb=1.0,
    max_loss=0.01,
    reasons={
        "p95_ms": "nobody waits longer for the estimate than for the switch",
        "p99_ms": "nor twice as long",
        "deadline_ms": "after two seconds one looks at the kettle",
        "max_error_share": "tea is important",
        "rate": "an office has twenty kettles",
        "concurrency": "two are switched on at once",
        "batch_rows_per_s": "nobody plans tea",
        "max_model_mb": "a kettle has little memory",
        "max_loss": "a hundredth of a cup",
    },
)

LOAD = LoadProfile(
    rate=SLO.rate,
    seconds=4.0,
    users=SLO.concurrency,
    p95_ms=SLO.p95_ms,
    max_error_share=SLO.max_error_share,
    reasons={name: SLO.reasons[name] for name in ("rate", "p95_ms", "max_error_share")},
)
