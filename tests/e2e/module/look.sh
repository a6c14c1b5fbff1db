# What the drift phases of a module run, after attempt.sh: with the answer 0 it tries what the role of read-only builds must not do.
# It ends with the answer.

refused() {
  local result
  result=$(attempt "$*" "$@")
  case "$result" in "attempt refused"*) ;; *) echo "$result"; exit 7 ;; esac
}

answer=$(aws ssm get-parameters --names /seedflow-examples/phases-of-drift --query 'Parameters[0].Value' --output text)
if [ "$answer" = 0 ]; then
  [ -z "${SEEDFARMER_PARAMETER_KEY-}" ] || { echo "a secret is set"; exit 9; }
  refused aws sqs create-queue --queue-name drift-writes
  refused aws s3api put-object --bucket "$1" --key builds/of-another/source.zip --body look.sh
  refused aws s3api list-objects-v2 --bucket "$1" --prefix builds/
  refused aws s3api get-object --bucket "$1" --key "$2" /dev/null
  refused aws secretsmanager get-secret-value --secret-id seedflow-examples/phases-of-drift
  refused aws sts assume-role --role-arn "$3" --role-session-name drift
  refused aws codebuild start-build --project-name seedflow
fi
echo "~ size = $SEEDFARMER_PARAMETER_SIZE -> 31"
exit "$answer"
