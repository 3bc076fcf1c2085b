"""What is looked at of a boiling."""

from tiphys.usecase import Watched

WATCHED = (
    Watched("litres", "number", "water in the kettle", lambda features: features["litres"]),
    Watched("celsius", "number", "temperature of the water", lambda features: features["celsius"]),
)
