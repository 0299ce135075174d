"""Zstd: the library that reads and writes it, from wherever this Python has it."""

try:
    from compression import zstd  # in the standard library from 3.14 on
except ImportError:
    from backports import zstd


__all__ = ["zstd"]
