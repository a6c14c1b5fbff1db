#!/usr/bin/env bash
# Deploys a folder, and shows the result in the comment of the pull request that was merged (comment.py has the variables).
#
# usage: apply.sh [ARGUMENT OF seedflow apply]…
# Ends with the exit code of `seedflow apply`. If only the comment fails, it is that of comment.py.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
said=$(mktemp)
result=$(mktemp)
code=0
"${SEEDFLOW:-seedflow}" apply "$@" 2>&1 | tee "$said" || code=${PIPESTATUS[0]}
word=deployed
[ "$code" -eq 0 ] || word="failed (exit code $code)"
{
  printf '### seedflow apply: %s\n\n' "$word"
  # The end has the result and what to do now. Indented lines are code in Markdown, whatever is in them.
  tail -n 40 "$said" | sed 's/^/    /'
} >"$result"
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$result" >>"$GITHUB_STEP_SUMMARY"
commented=0
python3 -I "$here/comment.py" merged "$result" || commented=$?
[ "$code" -ne 0 ] || code=$commented
exit "$code"
