#!/bin/sh
# Puts a version's pages beside those of earlier ones, and makes the page that lists them anew.
# Usage: scripts/add_docs_version.sh BUILT SITE VERSION
set -eu
built=$1 site=$2 version=$3

rm -rf "${site:?}/$version"
cp -R "$built" "$site/$version"
{
    echo '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>airflow-provider-featurebase</title></head>'
    echo '<body><h1>Documentation of airflow-provider-featurebase</h1><ul>'
    for folder in "$site"/[0-9]*/; do basename "$folder"; done | sort -rV | while read -r name; do
        echo "<li><a href=\"$name/docs/index.html\">$name</a></li>"
    done
    echo '</ul></body></html>'
} >"$site/index.html"
