"""Tests of the documents: what they quote and list is what the code has."""
