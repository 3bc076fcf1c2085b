"""What it is compared with: as the kettle without a clock."""

from tests.usecases.tiny import baselines

BASELINES = baselines.BASELINES
