#!/bin/sh
# Runs a command with an Airflow home of its own, which is gone afterwards. Whatever Airflow this shell is set up
# for (its database, its secrets backend) is out of the command's reach.
# Usage: scripts/temp_airflow.sh COMMAND...
set -eu
for name in $(env | sed -n 's/^\(AIRFLOW_[A-Za-z0-9_]*\)=.*/\1/p'); do
    unset "$name"
done
AIRFLOW_HOME=$(mktemp -d "${TMPDIR:-/tmp}/featurebase-airflow.XXXXXX")
trap 'rm -rf "$AIRFLOW_HOME"' EXIT
trap 'exit 130' INT TERM
export AIRFLOW_HOME AIRFLOW__CORE__LOAD_EXAMPLES=False
"$@"
