"""What a boiling is."""

from tiphys.usecase import Column, DataContract, Derived, Rule

DATA = DataContract(
    table="boilings",
    columns=(
        Column("switched_on", "timestamp", "when the kettle was switched on", ("Start",)),
        Column("litres", "double", "water in the kettle", ("Volume",)),
        Column("celsius", "double", "temperature of the water before"),
        Column("seconds", "double", "until it boiled: known only afterwards"),
    ),
    time="switched_on",
    derived=(Derived("minutes", "double", "seconds / 60", "the same in minutes"),),
    rules=(
        Rule("no water", "litres <= 0"),
        Rule("already boiling", "celsius >= 100"),
        Rule("did not boil", "seconds <= 0"),
    ),
    bounds={"litres": (0.0, 3.0), "celsius": (0.0, 100.0), "seconds": (0.0, 3600.0)},
    min_rows_per_month=100,
    max_reject_share=0.2,
)
