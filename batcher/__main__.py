"""`python -m batcher`: the command line without the `batcher` script on the path."""

from batcher.cli import script

script()
