# What a hostile build in a target tries, with everything that it could know or guess in the environment. Each
# attempt prints one line; one that isn't refused prints what it got, too.

NOTHING='NotFound|DoesNotExist|does not exist|cannot be found|Access Denied'

# What it may: this shows that the commands work.
aws sts get-caller-identity --query Arn --output text
echo "region $AWS_REGION"
aws ssm put-parameter --name /targets/own --type String --value "$CODEBUILD_BUILD_ID" --query Version --output text
aws ssm get-parameter --name /targets/own --query Parameter.Value --output text

# Parameters and secrets of home and of another target, by ARN and by name.
for ACCOUNT in "$HOME_ACCOUNT" "$OTHER_ACCOUNT"; do
  attempt "parameter of $ACCOUNT" aws ssm get-parameter --region us-east-1 --name "arn:aws:ssm:us-east-1:$ACCOUNT:parameter/targets/secret"
  attempt "secret of $ACCOUNT" aws secretsmanager get-secret-value --region us-east-1 --secret-id "arn:aws:secretsmanager:us-east-1:$ACCOUNT:secret:targets-secret"
done
attempt "parameter by name" aws ssm get-parameter --region us-east-1 --name /targets/secret
attempt "secret by name" aws secretsmanager get-secret-value --region us-east-1 --secret-id targets-secret

# Buckets: those of home, that of another target, and the names of other builds' folders.
attempt "list the work bucket" aws s3api list-objects-v2 --region us-east-1 --bucket "$WORK"
attempt "read the work bucket" aws s3api get-object --region us-east-1 --bucket "$WORK" --key builds/targets/source.zip got
attempt "write the work bucket" aws s3api put-object --region us-east-1 --bucket "$WORK" --key sources/p/d/g/m.zip --body hostile.sh
attempt "list another target" aws s3api list-objects-v2 --region us-east-1 --bucket "$OTHER_BUCKET"
attempt "read another target" aws s3api get-object --region us-east-1 --bucket "$OTHER_BUCKET" --key builds/targets/source.zip got
attempt "list builds" aws s3api list-objects-v2 --bucket "$BUCKET" --prefix builds/
attempt "list versions" aws s3api list-object-versions --bucket "$BUCKET" --prefix builds/
attempt "list uploads" aws s3api list-multipart-uploads --bucket "$BUCKET"

# Roles: of home, of another target, of its own.
attempt "role of home" aws sts assume-role --role-session-name hostile --role-arn "$HOME_ROLE"
for ROLE in "$OTHER_ROLE" "$OWN_ROLE" "$EVENTS_ROLE"; do
  attempt "$ROLE" aws sts assume-role --role-session-name hostile --external-id "$EXTERNAL_ID" --role-arn "$ROLE"
done

# Builds, executions, functions and events.
attempt "own project" aws codebuild start-build --project-name seedflow
attempt "own builds" aws codebuild list-builds
attempt "another build" aws codebuild batch-get-builds --ids "$CODEBUILD_BUILD_ID"
attempt "logs of another build" aws logs get-log-events --log-group-name "$LOG_GROUP" --log-stream-name "$OTHER_STREAM"
attempt "logs of all builds" aws logs filter-log-events --log-group-name "$LOG_GROUP"
attempt "start an execution" aws stepfunctions start-execution --region us-east-1 --state-machine-arn "$MACHINE" --input '{}'
attempt "answer for a build" aws stepfunctions send-task-success --region us-east-1 --task-token x --task-output '{}'
attempt "invoke a function" aws lambda invoke --region us-east-1 --function-name "arn:aws:lambda:us-east-1:$HOME_ACCOUNT:function:seedflow-build-event" got
attempt "the bus of home" aws events put-events --region us-east-1 --entries "[{\"Source\":\"$EVENT_SOURCE\",\"DetailType\":\"CodeBuild Build State Change\",\"Detail\":\"{}\",\"EventBusName\":\"$BUS\"}]"
attempt "a rule of ours" aws events disable-rule --name seedflow-target-build-ended
