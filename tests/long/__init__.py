"""The long runs: full load with faults for minutes, and `kill -9` at many moments."""
