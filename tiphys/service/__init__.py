"""What our own HTTP services have in common: bodies with a bound and one form of refusal, and PostgreSQL behind them."""
