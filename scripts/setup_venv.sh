#!/bin/sh
# Puts the project and every development tool into a virtual environment, with the pinned versions.
# Usage: scripts/setup_venv.sh PYTHON VENV EXTRAS
set -eu
python=$1 venv=$2 extras=$3

if ! command -v "$python" >/dev/null 2>&1; then
    echo "make: there is no '$python' here; install Python 3.10 to 3.14, or name one: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))'; then
    echo "make: '$python' is $("$python" --version 2>&1); Airflow 3 needs Python 3.10 to 3.14 here." \
        "Name another: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    # Debian and Ubuntu ship python3 without the parts that venv needs (ensurepip): venv then fails half-way.
    if ! "$python" -m venv --clear "$venv"; then
        rm -rf "$venv"
        echo "make: '$python' could not make the virtual environment $venv." \
            "On Debian and Ubuntu: apt-get install python3-venv; then run make again" >&2
        exit 1
    fi
fi

# pip brings the pinned uv; uv installs the rest in a tenth of the time.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" \
    --constraint constraints.txt --build-constraints constraints.txt \
    --editable ".[$extras]" --group build --group test --group lint --group mutants
