"""Two numbers in, seconds out, as for the tiny use case."""

from tiphys.usecase import Feature, Target

FEATURES = (
    Feature("litres", "float32", "water in the kettle"),
    Feature("celsius", "int64", "temperature of the water, whole degrees"),
)
TARGET = Target("seconds", unit="s", close=20.0, description="seconds until the water boils")
