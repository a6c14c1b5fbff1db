#!/usr/bin/env bash
# Usage: phase.sh PHASE. Fails if that is the phase in which the deployment is to fail.
set -euo pipefail
phase=$1
fail_in=${SEEDFARMER_PARAMETER_FAIL_IN:-none}

case "$fail_in" in
install | pre_build | build | post_build | none) ;;
*)
  echo "fail-in is \"$fail_in\"; allowed are install, pre_build, build, post_build, none" >&2
  exit 2
  ;;
esac

echo "Phase $phase begins; this deployment is to fail in: $fail_in"
if [ "$fail_in" = "$phase" ]; then
  echo "Connecting to the database that does not exist"
  echo "ERROR: no route to db.example.invalid, giving up in phase $phase" >&2
  exit 3
fi
