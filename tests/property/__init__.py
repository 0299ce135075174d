"""What holds of all values: Hypothesis over the pure core."""
