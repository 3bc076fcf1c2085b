"""What is said when no model answers: as for the kettle without a clock."""

from tests.usecases.tiny import fallback

answer = fallback.answer
fit = fallback.fit
