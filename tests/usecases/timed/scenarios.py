"""How the kettle may change: as the one without a clock."""

from tests.usecases.tiny import scenarios
from tiphys.usecase import Rehearsal

SCENARIOS = scenarios.SCENARIOS
REHEARSAL = Rehearsal(rows=16_000)
"""An office boils five times an hour: three weeks of a changed kettle are as many as the policy wants."""
