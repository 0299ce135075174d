"""Rate and concurrency limits per prefix.

- The highest rate is the setting `prefix_rate`, 3,500 PUTs per second by default (`settings`).
  `open_store` (`stores/__init__.py`) divides it by the setting `fleet`.
- `rate.py` adapts the rate to throttles, always at or below the highest rate.
- `concurrency.py` adapts the number of requests in flight to response times.
- `PrefixLimiters.get_prefix` (`limiter.py`) defines what a prefix is: root and salt of a key. The
  salt is made in `keys/names.py`.
- `queue.py` orders the requests that wait. `store.py` applies all of it to a store.
"""
