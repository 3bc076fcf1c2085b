"""Who waits for water to boil: as for the kettle without a clock."""

from tests.usecases.tiny import personas

PERSONAS = personas.PERSONAS
