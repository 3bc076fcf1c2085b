"""What the kettle's model must show."""

from tiphys.usecase import Gate

GATES = (
    Gate("mae", "<=", "status_quo.mae", "a model that knows the temperature must use it", factor=0.7),
    Gate("slice.cold.mae", "<=", "slice.cold.status_quo_mae", "cold water is where it matters"),
    Gate(
        "newest.mae", "<=", "newest.champion_mae", "the kettle of today counts", needs=("newest.rows", "champion.rows")
    ),
    Gate(
        "holdout.mae",
        "<=",
        "holdout.champion_mae",
        "the laboratory's clock is right",
        needs=("holdout.rows", "champion.rows"),
    ),
)
