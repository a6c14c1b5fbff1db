#!/usr/bin/env bash
# Installs `seedflow` and these scripts from an archive of .ci/release, if it has the SHA-256 that is asked for.
#
# usage: install.sh URL SHA256 FOLDER
set -euo pipefail
archive=$(mktemp)
curl --silent --show-error --fail --location --retry 3 --max-time 300 --output "$archive" "$1"
printf '%s  %s\n' "$2" "$archive" | sha256sum --check --quiet
mkdir -p "$3"
tar --extract --gzip --file "$archive" --directory "$3"
