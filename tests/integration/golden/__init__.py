"""Golden objects: fixed inputs give the same objects, byte for byte, as they did before.

Each case sends its input through a public entry point (handler, `Batcher`, command line) to an S3
server of this folder, and compares what arrived, and what was answered, with `expected/*.json`.
S3 cases run with both engines against the same expectation.

To accept a change: `GOLDEN_UPDATE=1 python -m pytest tests/golden`, then review the diff.
"""
