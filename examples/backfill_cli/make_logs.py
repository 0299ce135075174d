"""Make a folder of gzip files with lines of JSON, as a program may have left them."""

import gzip
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
folder.mkdir()
for number in range(30):
    day = f"2026-11-{1 + number // 10:02}"
    lines = (
        json.dumps({"day": day, "level": ["info", "error"][n % 20 == 0], "n": n, "text": "x" * 60})
        for n in range(number * 20_000, (number + 1) * 20_000)
    )
    with gzip.open(folder / f"{number:02}.ndjson.gz", "wt", compresslevel=1) as file:
        file.writelines(f"{line}\n" for line in lines)
