"""Checking a deployment: bucket, permissions, function and mapping, before records are lost.

Pure functions judge what AWS says of them, given as its API gives it; `asking` asks, `dry_write`
writes and takes away again, and `look` brings them together.
"""
