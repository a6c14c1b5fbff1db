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

# To load the `aws` command takes most of a second of processor time. So one process loads it, from the folder TOOLS, and runs
# each command in a fork of itself. Arguments come to it, and output, errors and exit code go back, each with a NUL at its end.
# It ends with the shell.
coproc FORKING {
  exec "${TOOLS:?}/python" -c '
import os, sys, tempfile
from awscli.clidriver import create_clidriver

driver = create_clidriver()

def field():
    found = bytearray()
    while (byte := sys.stdin.buffer.read(1)) != b"\0":
        if not byte:
            sys.exit()
        found += byte
    return found.decode()

def run(arguments, output, errors):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    try:
        code = driver.main(["--endpoint-url", os.environ["AWS_ENDPOINT_URL"], *arguments])
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)

while True:
    arguments = [field() for _ in range(int(field()))]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            run(arguments, output, errors)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in (output, errors):
            file.seek(0)
            sys.stdout.buffer.write(file.read().replace(b"\0", b"") + b"\0")
    sys.stdout.buffer.write(b"%d\0" % code)
    sys.stdout.buffer.flush()
'
}
# Substitutions of commands have these, and not those of the coprocess.
exec 7>&"${FORKING[1]}" 8<&"${FORKING[0]}"

aws() {
  local output errors code
  printf '%s\0' "$#" "$@" >&7
  IFS= read -r -d '' output <&8 && IFS= read -r -d '' errors <&8 && IFS= read -r -d '' code <&8 || return 255
  printf '%s' "$output"
  printf '%s' "$errors" >&2
  return "$code"
}

