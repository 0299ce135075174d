"""Records: many at a time, in columns. The lowest layer: pure, and imported by all others."""
