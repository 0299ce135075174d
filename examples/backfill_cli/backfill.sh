#!/bin/sh
# Write a folder of gzip files into large objects by day and level. After an interruption, run it
# again with the same arguments: it continues where it stopped reading.
#
#   sh backfill.sh logs/ s3://my-bucket/logs
set -eu

input=$1 destination=$2
report=backfill.json # of the last run; it names the first line that was not read

skip_to=
if [ -e "$report" ]; then
    [ -s "$report" ] || {
        echo "$report is empty: the last run has not ended, failed at once, or was killed; see README.md" >&2
        exit 1
    }
    skip_to=$(python3 - "$report" <<'END'
import json, sys
report = json.load(open(sys.argv[1]))
print("failed" if report["failed"] else report.get("unread_from", ""))
END
    )
    case $skip_to in
    '') echo "nothing is left to read; remove $report to write everything again" >&2; exit 0 ;;
    failed) echo "lines were not written; run the commands that batcher printed" >&2; exit 1 ;;
    esac
fi

# The day is in the records: by default objects are partitioned by the time of this run.
# With exec, Ctrl-C and `kill` reach batcher, which then writes what it has read.
exec batcher write "$input" "$destination" --json --partition-by 'dt={field:day}/level={field:level}' \
    ${skip_to:+--skip-to "$skip_to"} >"$report"
