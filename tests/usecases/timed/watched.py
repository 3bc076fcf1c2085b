"""What is looked at of a boiling: as for the kettle without a clock."""

from tests.usecases.tiny import watched

WATCHED = watched.WATCHED
