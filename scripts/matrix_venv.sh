#!/bin/sh
# Installs the built wheel, and nothing else of this project, into a bare environment beside one Airflow.
# Usage: scripts/matrix_venv.sh UV PYTHON AIRFLOW_VERSION VENV WHEEL
set -eu
uv=$1 python=$2 version=$3 venv=$4 wheel=$5

rm -rf "$venv"
"$uv" venv --quiet --python "$python" "$venv"
"$uv" pip install --quiet --python "$venv/bin/python" --constraint "constraints/airflow-$version.txt" \
    "apache-airflow[statsd]==$version" "$wheel" --group integrity
