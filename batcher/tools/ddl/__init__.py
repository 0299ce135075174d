"""What makes the objects under a root a table, engine by engine; text out, nothing is read."""
