"""What a boiling is: as for the kettle without a clock."""

from tests.usecases.tiny import data

DATA = data.DATA
