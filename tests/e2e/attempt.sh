# For what hostile builds try: each attempt prints one line; one that isn't refused prints what it got, too. NOTHING is what AWS
# says of what isn't there, and is nothing got, either.

attempt() {
  local what=$1 output result=GOT
  shift
  if ! output=$("$@" 2>&1 </dev/null); then
    grep -qE "AccessDenied|not authorized|${NOTHING:?}" <<<"$output" && result=refused || result=UNCLEAR
  fi
  printf 'attempt %s: %s\n' "$result" "$what"
  [ "$result" = refused ] || printf '%s\n' "$output"
}

