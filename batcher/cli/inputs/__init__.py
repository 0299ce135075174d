"""Inputs of commands: what is named, in which order, and its lines as they come."""
