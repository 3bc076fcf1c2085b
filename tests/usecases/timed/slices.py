"""Parts of the test rows: as for the kettle without a clock."""

from tests.usecases.tiny import slices

SLICES = slices.SLICES
