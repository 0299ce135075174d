"""The program `batcher`, which `python -m batcher` runs as well."""

import signal


def main() -> None:
    """Run the command line. While it is imported, Ctrl-C ends the process silently."""
    previous = signal.getsignal(signal.SIGINT)
    if previous is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from batcher.cli import script  # noqa: PLC0415  # takes up to half a second

    signal.signal(signal.SIGINT, previous)
    script()


if __name__ == "__main__":
    main()
