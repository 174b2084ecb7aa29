#!/bin/sh
# Writes the constraints files anew, with today's newest versions: one set for development, and one for each
# Airflow of the matrix. Each serves all supported Pythons and names neither a package index nor a path.
# Usage: scripts/lock.sh UV DEVELOPMENT_AIRFLOW MATRIX_AIRFLOW...
set -eu
uv=$1 development=$2
shift 2

compile() { # compile AIRFLOW_VERSION OUTPUT OPTION...
    version=$1 output=$2
    shift 2
    echo "apache-airflow==$version" | "$uv" pip compile --quiet --upgrade --universal --python-version 3.10 \
        --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" \
        --output-file "$output" "$@" pyproject.toml - >/dev/null
    echo "$output: $(grep -c '==' "$output") pins"
}

compile "$development" constraints.txt --all-extras \
    --group build --group test --group lint --group mutants
for version in "$@"; do
    compile "$version" "constraints/airflow-$version.txt" --group integrity
done
