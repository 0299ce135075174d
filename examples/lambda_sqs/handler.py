"""The function: each message of a queue becomes a line of an object in S3."""

from batcher.handler import make_handler

handler = make_handler()  # its settings are environment variables, BATCHER_BUCKET and others
