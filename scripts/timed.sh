#!/bin/sh
# Runs a part of the checks and notes how long it took, for the table that `make test` and `make proofs` end with.
# Usage: scripts/timed.sh NOTES_FILE NAME COMMAND...
set -eu
notes=$1 name=$2
shift 2
echo "== $name"
start=$(date +%s)
status=0
"$@" || status=$?
verdict=passed
[ "$status" -eq 0 ] || verdict="FAILED ($status)"
mkdir -p "$(dirname "$notes")"
printf '%-10s %5s s  %s\n' "$name" "$(($(date +%s) - start))" "$verdict" >>"$notes"
exit "$status"
