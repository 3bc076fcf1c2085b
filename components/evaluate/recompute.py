"""Compute the figures of a registered model once more, from its dataset version and its weights, and change nothing.

``python -m components.evaluate.recompute USE_CASE DATASET models:/NAME/N`` prints them as one JSON object, under the names
that step ``evaluate`` told them by. ``tiphys release verify --recompute`` holds a passport against them.
"""

from __future__ import annotations

import json
import logging
import sys

from components.evaluate.measure import measure
from components.evaluate.rows import Asked
from tiphys import model_files
from tiphys.errors import TiphysError
from tiphys.tracking import Tracking
from tiphys.usecase import UseCase


def main(use_case: str, dataset: str, model_version: str) -> int:
    """Print the figures."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    tracking = Tracking()
    try:
        version = tracking.version(model_version)
        weights, tags = model_files.fetch_version(tracking, version), version.tags
        asked = Asked(dataset, tags.get("window", ""), tags.get("champion", ""), tags.get("holdout", ""))
        beaten = model_files.fetch_version(tracking, tracking.version(asked.champion)) if asked.champion else None
        found = measure(UseCase(use_case), asked, weights, beaten).figures
    except TiphysError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    print(json.dumps(found))  # noqa: T201 - what this program is for
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
