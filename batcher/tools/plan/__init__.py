"""Planning: from a rate and a record's size to objects, Lambda settings and dollars a month.

Pure, and imported by nothing that writes: `batcher plan` and the bench use it.
"""
