"""Who waits for water to boil."""

from tiphys.usecase import Persona

PERSONAS = (
    Persona(
        "tea_drinker",
        "Boils half a litre and stands beside it: half a minute more and the toast is cold.",
        lambda examples: examples.features["litres"] <= 1.0,
        weight=2.0,
    ),
    Persona(
        "host",
        "Fills the kettle for six guests and asks twice, before and after filling it up.",
        lambda examples: examples.features["litres"] > 1.0,
        asks=2,
    ),
)
