#!/usr/bin/env bash
# Plans a folder, and shows the plan in the one comment of the pull request (comment.py has the variables).
#
# usage: plan.sh [ARGUMENT OF seedflow plan]…
# Ends with the exit code of `seedflow plan`: 0, or 4 if the plan is refused. If only the comment fails, it is that of comment.py.
# In GitHub Actions the output `changes` is true or false.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
plan=$(mktemp)
complaint=$(mktemp)
code=0
"${SEEDFLOW:-seedflow}" plan --markdown --detailed-exitcode "$@" >"$plan" 2>"$complaint" || code=$?
cat "$complaint" >&2
changes=false
case $code in
  0) ;;
  # There are changes, as --detailed-exitcode says.
  3) code=0 changes=true ;;
  *)
    {
      printf '\n### seedflow plan failed (exit code %s)\n\n' "$code"
      # Indented lines are code in Markdown, whatever is in them.
      sed 's/^/    /' "$complaint"
    } >>"$plan"
    ;;
esac
cat "$plan"
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$plan" >>"$GITHUB_STEP_SUMMARY"
[ -z "${GITHUB_OUTPUT:-}" ] || printf 'changes=%s\n' "$changes" >>"$GITHUB_OUTPUT"
commented=0
python3 -I "$here/comment.py" open "$plan" || commented=$?
[ "$code" -ne 0 ] || code=$commented
exit "$code"
