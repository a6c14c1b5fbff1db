"""`jq PROGRAM` by the library of jq: standard input to standard output. No other options: it replaces the program
only where a test runs it this way."""

import sys

import jq

if len(sys.argv) != 2:
    sys.exit("jq: expected one argument, the program; this is the library of jq, not its command line")
try:
    program = jq.compile(sys.argv[1])
except ValueError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
try:
    results = program.input_text(sys.stdin.read()).text()
except ValueError as error:
    print(error, file=sys.stderr)
    sys.exit(5)
if results:
    print(results)
