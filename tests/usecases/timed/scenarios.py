"""How the kettle may change: as the one without a clock."""

from tests.usecases.tiny import scenarios

SCENARIOS = scenarios.SCENARIOS
REHEARSAL = scenarios.REHEARSAL
