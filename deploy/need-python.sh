#!/bin/sh
# need-python.sh PYTHON: ends with an error unless this is Python 3.11 or newer. `make` runs it before
# it creates anything: the pip of an older Python would try one old version after the other.
says=$("$1" --version 2>&1; "$1" -c 'import sys; print("Python %d.%d" % sys.version_info[:2])' 2>&1)
is_new() { echo "$1" | grep -Eq '^Python (3\.(1[1-9]|[2-9][0-9])|[4-9])'; }
is_old() { echo "$1" | grep -Eq '(^|[^0-9.])(2\.[0-9]|3\.([0-9]|10)([^0-9]|$))'; }
is_new "$says" && ! is_old "$says" && exit
found=$(echo "$says" | sed -En 's/^(Python )?([0-9]+\.[0-9]+(\.[0-9]+)?)$/\2/p' | tail -1)
for newer in python3.14 python3.13 python3.12 python3.11; do
  if is_new "$("$newer" --version 2>&1)"; then
    echo "Python 3.11 or newer is needed: $1 is ${found:-not installed, or does not run}; add PYTHON=$newer to the command" >&2
    exit 1
  fi
done
echo "Python 3.11 or newer is needed: $1 is ${found:-not installed, or does not run}; install it: https://www.python.org/downloads/" >&2
exit 1
