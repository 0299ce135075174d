"""Definitions of the objects under a root as a table, per engine, as text. Nothing is read."""
