"""What is demanded of the service: as for the kettle without a clock."""

from tests.usecases.tiny import slo

LOAD = slo.LOAD
SLO = slo.SLO
