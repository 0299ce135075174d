"""What an operator runs: verify, replay, check, plan, ddl, demo."""
