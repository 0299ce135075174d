"""Count the orders of the last hour with DuckDB, and the objects that it opens for that."""

import re
import sys
from pathlib import Path

import duckdb

database = duckdb.connect()
for file in sys.argv[1:]:
    database.execute(Path(file).read_text(encoding="utf-8"))

((rows,),) = database.execute("SELECT count(*) FROM last_hour").fetchall()
((orders,),) = database.execute("SELECT count(*) FROM last_hour_once").fetchall()
print(f"{rows} rows, {orders} orders")
((_, profile),) = database.execute("EXPLAIN ANALYZE FROM last_hour").fetchall()
scanned = re.search(r"Scanning Files: (\d+)/(\d+)", profile)
print("objects opened:", " of ".join(scanned.groups()) if scanned else "all")
