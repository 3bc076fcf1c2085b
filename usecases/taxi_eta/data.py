"""What a taxi trip is: columns in both dialects, which rows are refused and why, and what a whole version looks like.

Trips as New York's Taxi & Limousine Commission (TLC) publishes them; the aliases are the TLC's own column names.
"""

from __future__ import annotations

from tiphys.usecase import Column, DataContract, Derived, Rule

SHORTEST_S = 60
LONGEST_S = 3 * 3600
FARTHEST_MILES = 100
FASTEST_MPH = 80
ZONES = 263
"""Taxi zones are numbered 1..263; 264 and 265 mean that the place is unknown."""

DATA = DataContract(
    table="trips",
    columns=(
        Column("vendor_id", "int", "provider of the meter's data", ("VendorID",), required=False),
        Column(
            "pickup_datetime",
            "timestamp",
            "meter on, New York wall-clock time",
            ("tpep_pickup_datetime", "lpep_pickup_datetime"),
        ),
        Column(
            "dropoff_datetime",
            "timestamp",
            "meter off, New York wall-clock time",
            ("tpep_dropoff_datetime", "lpep_dropoff_datetime"),
        ),
        Column("passenger_count", "int", "passengers, as the driver says"),
        Column("trip_distance", "double", "miles by the meter: known only afterwards"),
        Column("rate_code_id", "int", "tariff: 1 standard, 2 JFK, 3 Newark, ...", ("RatecodeID",), required=False),
        Column("store_and_fwd_flag", "string", "Y: the record was held in the car", required=False),
        Column("pickup_location_id", "int", "taxi zone of the pick-up", ("PULocationID",)),
        Column("dropoff_location_id", "int", "taxi zone of the drop-off", ("DOLocationID",)),
        Column("payment_type", "int", "1 card, 2 cash, 3 no charge, 4 dispute", required=False),
        Column("fare_amount", "double", "dollars by the meter: known only afterwards", required=False),
        Column("extra", "double", "dollars, rush hour and overnight", required=False),
        Column("mta_tax", "double", "dollars", required=False),
        Column("tip_amount", "double", "dollars, by card", required=False),
        Column("tolls_amount", "double", "dollars", required=False),
        Column("improvement_surcharge", "double", "dollars", required=False),
        Column("total_amount", "double", "dollars", required=False),
        Column("congestion_surcharge", "double", "dollars; since 2019", required=False),
    ),
    time="pickup_datetime",
    derived=(
        Derived(
            "duration_s", "long", "timestampdiff(SECOND, pickup_datetime, dropoff_datetime)", "seconds of the ride"
        ),
    ),
    rules=(
        Rule("drop-off is not after pick-up", "duration_s <= 0"),
        Rule(f"shorter than {SHORTEST_S} s", f"duration_s < {SHORTEST_S}"),
        Rule(f"longer than {LONGEST_S // 3600} h", f"duration_s > {LONGEST_S}"),
        Rule("no distance", "trip_distance <= 0"),
        Rule(f"farther than {FARTHEST_MILES} miles", f"trip_distance > {FARTHEST_MILES}"),
        Rule(f"faster than {FASTEST_MPH} mph", f"trip_distance * 3600 >= {FASTEST_MPH} * duration_s"),
        Rule("pick-up zone unknown", f"pickup_location_id NOT BETWEEN 1 AND {ZONES}"),
        Rule("drop-off zone unknown", f"dropoff_location_id NOT BETWEEN 1 AND {ZONES}"),
    ),
    bounds={
        "duration_s": (SHORTEST_S, LONGEST_S),
        "trip_distance": (0.0, FARTHEST_MILES),
        "pickup_location_id": (1, ZONES),
        "dropoff_location_id": (1, ZONES),
    },
    min_rows_per_month=1000,
    max_reject_share=0.10,
    max_shift={"duration_s": 0.25, "trip_distance": 0.25},
)
