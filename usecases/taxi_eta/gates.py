"""What a candidate must show before it is registered, each with its reason."""

from __future__ import annotations

from tiphys.usecase import Gate

GATES = (
    Gate("mae", "<=", "status_quo.mae", "riders must wait less wrongly than they do today, by a tenth", factor=0.9),
    Gate("mae", "<=", "strong_lookup.mae", "a network that a table beats is not worth serving", factor=0.98),
    Gate("mae", "<=", "lightgbm.mae", "the usual strong model may be better by a twentieth at most", factor=1.05),
    Gate("p95", "<=", "status_quo.p95", "the worst waits must not get worse"),
    Gate("close_share", ">=", "status_quo.close_share", "at least as many answers as today are right within 2 minutes"),
    Gate(
        "bias_share",
        "<=",
        0.15,
        "medians answer too short on a skewed target; by more than a seventh, every rider is misled",
    ),
    Gate("slice.from_jfk.mae", "<=", "slice.from_jfk.status_quo_mae", "airport rides earn the most"),
    Gate("slice.to_jfk.mae", "<=", "slice.to_jfk.status_quo_mae", "a late ride to the airport misses a flight", 1.05),
    Gate(
        "slice.new_pair_no_past_ride.mae",
        "<=",
        "slice.new_pair_no_past_ride.status_quo_mae",
        "places without a past count too",
    ),
    Gate(
        "newest.mae",
        "<=",
        "newest.champion_mae",
        "a model that is better only on the past helps no rider of today",
        needs=("newest.rows", "champion.rows"),
    ),
    Gate(
        "holdout.mae",
        "<=",
        "holdout.champion_mae",
        "what riders report may be false, the operator's own meters are not",
        needs=("holdout.rows", "champion.rows"),
    ),
)
