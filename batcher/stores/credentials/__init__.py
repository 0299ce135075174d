"""Endpoint and credentials: where they are found, and what is wrong with them. For both engines."""
