"""Planning: from a rate and a record size to objects, Lambda settings and dollars per month.

Pure functions, not imported by the writing path. `batcher plan` and the bench use them.
"""
