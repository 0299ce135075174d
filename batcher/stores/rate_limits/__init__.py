"""Rate and concurrency limits per prefix."""
