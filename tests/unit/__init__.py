"""Values in, values out: no I/O, no sleep, no mocks."""
