"""What a request is about, where the emulator doesn't know it: its resources, and its values for conditions."""


from .stepfunctions import machine_by_token

# --- Requests that name several resources, or name one in a way that the emulator doesn't follow ------------
# It checks them against "*" (in CloudWatch Logs against a group without its streams), which a right on an ARN
# doesn't cover and a Deny on an ARN doesn't hit. AWS checks each resource:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscodebuild.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html

# The resource of a token that never was.
NO_TASK = "no task"


def parameter(name, region, account):
    if name.startswith("arn:"):
        return name
    if name.startswith("/aws/service/"):
        # AWS's own, which have no account:
        # https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters.html
        return f"arn:aws:ssm:{region}::parameter{name.split(':')[0]}"
    # A version or a label after the name is not part of the resource.
    return f"arn:aws:ssm:{region}:{account}:parameter/{name.split(':')[0].lstrip('/')}"


def project(name, region, account):
    return f"arn:aws:codebuild:{region}:{account}:project/{name}"


def project_of_build(build, region, account):
    return project(build.split(":build/")[-1].split(":")[0], region, account)


def log_stream(request, region, account):
    """What AWS's own refusals name, and what a group's ARN with its ":*" covers; a missing stream is empty."""
    stream = request.get("logStreamName", "")
    return f"arn:aws:logs:{region}:{account}:log-group:{request.get('logGroupName')}:log-stream:{stream}"


def resources_of_events(operation, request, region, account):
    """Rules, whose ARN names no bus if that is the default one; what archives and replays are about; buses."""
    arn = f"arn:aws:events:{region}:{account}"
    match operation:
        case "PutRule" | "DescribeRule" | "DeleteRule" | "EnableRule" | "DisableRule":
            rule = request.get("Name")
        case "PutTargets" | "RemoveTargets" | "ListTargetsByRule":
            rule = request.get("Rule")
        case "CreateArchive":
            return [str(request.get("EventSourceArn")), f"{arn}:archive/{request.get('ArchiveName')}"]
        case "StartReplay":
            bus = (request.get("Destination") or {}).get("Arn")
            return [str(bus), str(request.get("EventSourceArn")), f"{arn}:replay/{request.get('ReplayName')}"]
        case "DescribeEventBus" | "UpdateEventBus" | "DeleteEventBus":
            return [f"{arn}:event-bus/{request.get('Name') or 'default'}"]
        case _:
            return []
    bus = str(request.get("EventBusName") or "default").split("event-bus/")[-1]
    return [f"{arn}:rule/{rule}" if bus == "default" else f"{arn}:rule/{bus}/{rule}"]


def named_resources(operation, request, region, account):
    """The ARNs that a request is about; none where the emulator finds them by itself."""

    def each(names, arn):
        return [arn(name, region, account) for name in request.get(names) or [] if isinstance(name, str)]

    match operation:
        case "AmazonSSM.GetParameters" | "AmazonSSM.DeleteParameters":
            return each("Names", parameter)
        case "AmazonSSM.GetParametersByPath":
            # The path itself and not what is below it: permission to read a path covers all of it.
            return [parameter(str(request.get("Path")), region, account)]
        case "CodeBuild_20161006.BatchGetProjects":
            return each("names", project)
        case "CodeBuild_20161006.BatchGetBuilds":
            return each("ids", project_of_build)
        case "CodeBuild_20161006.StopBuild":
            return [project_of_build(str(request.get("id")), region, account)]
        case operation if operation.startswith("AWSEvents."):
            return resources_of_events(operation.removeprefix("AWSEvents."), request, region, account)
        case (
            "Logs_20140328.CreateLogGroup"
            | "Logs_20140328.CreateLogStream"
            | "Logs_20140328.PutLogEvents"
            | "Logs_20140328.GetLogEvents"
            | "Logs_20140328.FilterLogEvents"
            | "Logs_20140328.StartQuery"
        ):
            return [log_stream(request, region, account)]
        case (
            "AWSStepFunctions.SendTaskSuccess"
            | "AWSStepFunctions.SendTaskFailure"
            | "AWSStepFunctions.SendTaskHeartbeat"
        ):
            return [machine_by_token.get(request.get("taskToken"), NO_TASK)]
    return []


# What a request says beside its resource, for the conditions of policies; the emulator has none of these:
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html,
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
CONDITION_KEYS = {
    ("iam", "PolicyArn"): "iam:PolicyARN",
    ("iam", "PermissionsBoundary"): "iam:PermissionsBoundary",
    ("cloudformation", "RoleARN"): "cloudformation:RoleArn",
    ("monitoring", "Namespace"): "cloudwatch:namespace",
}


def condition_values_of(service, query_params, request):
    values = {}
    for (of_service, field), key in CONDITION_KEYS.items():
        # CloudWatch takes requests in JSON, too.
        value = (query_params or {}).get(field) or request.get(field)
        value = value[0] if isinstance(value, list) and value else value
        if service == of_service and value:
            values[key] = value
    return values


def condition_values_of_events(operation, request):
    """Source and type of what is put on a bus: keys of several values, which an operator for a single value doesn't match
    (IAM user guide, "Single-valued vs. multivalued context keys"). A field that no entry has is not a key."""
    if operation != "AWSEvents.PutEvents":
        return {}
    values = {}
    for key, field in (("events:source", "Source"), ("events:detail-type", "DetailType")):
        found = sorted({str(entry[field]) for entry in request.get("Entries") or [] if field in entry})
        if found:
            values[key] = found
    return values


def condition_values_of_mappings(service, path, request, region, account):
    """The function that an event source mapping is made for."""
    function = request.get("FunctionName")
    if service != "lambda" or "event-source-mappings" not in path or not function:
        return {}
    arn = function if function.startswith("arn:") else f"arn:aws:lambda:{region}:{account}:function:{function}"
    return {"lambda:FunctionArn": arn}
