"""The zstd library: of the standard library from Python 3.14 on, else the backport."""

try:
    from compression import zstd
except ImportError:
    from backports import zstd

__all__ = ["zstd"]
