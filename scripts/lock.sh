#!/bin/sh
# Writes the constraints files anew: with today's newest versions for development, and with those of its time for each
# Airflow of constraints/matrix.txt. Each serves all supported Pythons and names neither a package index nor a path.
# Usage: scripts/lock.sh UV DEVELOPMENT_AIRFLOW
set -eu
uv=$1 development=$2

compile() { # compile OUTPUT OPTION... <REQUIREMENTS
    output=$1
    shift
    "$uv" pip compile --quiet --upgrade --universal --python-version 3.10 \
        --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" \
        --output-file "$output" "$@" pyproject.toml - >/dev/null
    echo "$output: $(grep -c '==' "$output") pins"
}

echo "apache-airflow==$development" | compile constraints.txt --all-extras --group build --group test --group lint \
    --group mutants --group docs --group cluster
grep '^[0-9]' constraints/matrix.txt | while read -r version day; do
    # A day alone ends with the clock of the machine that locks.
    echo "apache-airflow[statsd]==$version" |
        compile "constraints/airflow-$version.txt" --group integrity --exclude-newer "${day}T00:00:00Z"
done
