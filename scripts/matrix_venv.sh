#!/bin/sh
# Installs the built wheel, and nothing else of this project, into a bare environment beside one Airflow.
# The environment is named after the Airflow, and after the Python if another is wanted than the given one: 3.1.8,
# 3.1.8-python3.10. Without that Python nothing is made: the tests say so, and make tries again the next time.
# Usage: scripts/matrix_venv.sh UV PYTHON ENVIRONMENT WHEEL
set -eu
uv=$1 python=$2 environment=$3 wheel=$4
venv=.matrix/$environment version=${environment%%-*}

find_python() {
    "$uv" python find --system --no-project --no-python-downloads "$1" 2>/dev/null
}

rm -rf "$venv"
if [ "$version" != "$environment" ]; then
    wanted=${environment##*-python}
    # pyenv starts a version that isn't selected only where this variable names it.
    if ! python=$(find_python "$wanted" || PYENV_VERSION=$wanted find_python "$wanted"); then
        echo "make: no Python $wanted here, so Airflow $version is not tested with it" >&2
        exit 0
    fi
fi

"$uv" venv --quiet --python "$python" "$venv"
"$uv" pip install --quiet --python "$venv/bin/python" --constraint "constraints/airflow-$version.txt" \
    "apache-airflow[statsd]==$version" "$wheel" --group integrity
touch "$venv/.setup"
