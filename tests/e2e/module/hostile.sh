# What a hostile module tries, with everything that an attacker could know or guess in known.sh. Each attempt
# prints one line; one that isn't refused prints what it got, too.

. ./known.sh

NOTHING='NoSuchKey'
read_object() { attempt "read $2" aws s3api get-object --bucket "$1" --key "$2" got; }
write_object() { attempt "write $2" aws s3api put-object --bucket "$1" --key "$2" --body known.sh; }

# Its own execution, which only the test can name.
until OWN=$(aws ssm get-parameter --name /hostile/own --query Parameter.Value --output text 2>/dev/null); do sleep 1; done

attempt "list the work bucket" aws s3api list-objects-v2 --bucket "$WORK"
attempt "list the builds" aws s3api list-objects-v2 --bucket "$WORK" --prefix builds/
attempt "list versions" aws s3api list-object-versions --bucket "$WORK" --prefix builds/
attempt "list the bundle bucket" aws s3api list-objects-v2 --bucket "$BUNDLES"
read_object "$WORK" "callbacks/$BUILD"
read_object "$WORK" "$LOCK"
read_object "$WORK" "$PLAN"
read_object "$WORK" "$SOURCE"
read_object "$WORK" "$UPLOAD"
read_object "$BUNDLES" "$BUNDLE"
read_object "$WORK" "builds/${BUILD#*:}/source.zip"
read_object "$WORK" "builds/${EXECUTION##*:}/source.zip"
write_object "$WORK" "callbacks/$BUILD"
write_object "$WORK" "$LOCK"
write_object "$WORK" "$SOURCE"
attempt "delete a result" aws s3api delete-object --bucket "$WORK" --key "builds/${BUILD#*:}/metadata.json"

attempt "read a parameter" aws ssm get-parameter --name "$STATE"
attempt "read parameters" aws ssm get-parameters --names /hostile/own "$STATE"
attempt "read below /sf" aws ssm get-parameters-by-path --path /sf --recursive
attempt "read below /" aws ssm get-parameters-by-path --path / --recursive
attempt "write a parameter" aws ssm put-parameter --overwrite --name "$STATE" --value '"hostile"' --type String

attempt "read its own history" aws stepfunctions get-execution-history --execution-arn "$OWN"
attempt "read another history" aws stepfunctions get-execution-history --execution-arn "$EXECUTION"
attempt "read an input" aws stepfunctions describe-execution --execution-arn "$EXECUTION"
attempt "stop an execution" aws stepfunctions stop-execution --execution-arn "$EXECUTION"
attempt "answer a task" aws stepfunctions send-task-success --task-token "$TOKEN" --task-output '{"status": "SUCCEEDED"}'
attempt "fail a task" aws stepfunctions send-task-failure --task-token "$TOKEN" --error E

attempt "write a commit" aws lambda invoke --function-name "$STACK-update-metadata" got
attempt "make up an event" aws lambda invoke --function-name "$STACK-build-event" got
attempt "free a lock" aws lambda invoke --function-name "$STACK-end-execution" got
attempt "read functions" aws lambda get-function --function-name "$STACK-update-metadata"

attempt "look at a build" aws codebuild batch-get-builds --ids "$BUILD"
attempt "stop a build" aws codebuild stop-build --id "$BUILD"
attempt "read a log" aws logs filter-log-events --log-group-name "/aws/codebuild/${BUILD%:*}"
attempt "read failed events" aws sqs receive-message --queue-url "$QUEUE"
attempt "take a role" aws sts assume-role --role-arn "$ROLE" --role-session-name hostile

attempt "list builds" aws codebuild list-builds
attempt "look up what others did" aws cloudtrail lookup-events
attempt "change a rule" aws events put-rule --name "$RULE" --event-pattern '{"source": ["hostile"]}'
attempt "add a target" aws events put-targets --rule "$RULE" --targets "Id=1,Arn=$QUEUE_ARN"
attempt "switch a rule off" aws events disable-rule --name "$RULE"
attempt "replay events" aws events start-replay --replay-name hostile --event-source-arn "${BUS/event-bus\/default/archive\/hostile}" \
  --event-start-time 0 --event-end-time 1 --destination "Arn=$BUS"
attempt "keep events" aws events create-archive --archive-name hostile --event-source-arn "$BUS"
attempt "open the bus" aws events put-permission --principal '*' --action events:PutEvents --statement-id hostile
attempt "send an event in our name" aws events put-events --entries '[{"Source": "seedflow", "DetailType": "x", "Detail": "{}"}]'
attempt "feed a function" aws lambda create-event-source-mapping --function-name "$STACK-build-event" --event-source-arn "$QUEUE_ARN"
attempt "change a mapping" aws lambda update-event-source-mapping --uuid "$MAPPING" --no-enabled
attempt "end the checks for drift" aws scheduler delete-schedule --name "$STACK-drift"
attempt "write a mail" aws sns publish --topic-arn "$TOPIC" --message hostile
attempt "read mails" aws sns subscribe --topic-arn "$TOPIC" --protocol email --notification-endpoint hostile@example.com
attempt "change the topic" aws sns set-topic-attributes --topic-arn "$TOPIC" --attribute-name DisplayName --attribute-value hostile
attempt "remove the key" aws kms schedule-key-deletion --key-id "$KEY"
attempt "silence an alarm" aws cloudwatch set-alarm-state --alarm-name "$ALARM" --state-value OK --state-reason hostile
attempt "make up a metric" aws cloudwatch put-metric-data --namespace Seedflow --metric-name ModulesFailed --value -1000000
attempt "write a function's log" aws logs put-log-events --log-group-name "/aws/lambda/$STACK-update-metadata" \
  --log-stream-name hostile --log-events '[{"timestamp": 0, "message": "{}"}]'
attempt "switch logs off" aws logs put-account-policy --policy-name hostile --policy-type DATA_PROTECTION_POLICY --policy-document '{}'
attempt "read a query" aws logs get-query-results --query-id hostile

# Guessing where another build hands back its result; a guess that is wrong is allowed and changes nothing.
printf '{"Tag": "hostile"}' >forged.json
for guess in "$BUILD" "${BUILD#*:}" "${EXECUTION##*:}"; do
  aws s3api put-object --bucket "$WORK" --key "builds/$guess/metadata.json" --body forged.json >/dev/null
done

# All that it can see, for the test to search.
{
  env
  grep -rsa '' --exclude-dir=.venv "$CODEBUILD_SRC_DIR" ~
} >"$TMPDIR/seen"
aws s3 cp --quiet "$TMPDIR/seen" "${CODEBUILD_SOURCE_REPO_URL%/*}/seen.txt"
rm "$TMPDIR/seen"
