"""What a model must show: as for the kettle without a clock."""

from tests.usecases.tiny import gates

GATES = gates.GATES
