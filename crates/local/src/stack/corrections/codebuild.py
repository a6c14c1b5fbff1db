"""CodeBuild: who may run builds, and networks of projects."""

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import codebuild

from .replacing import replace

# --- Builds -------------------------------------------------------------------------------------------------
# They run in the stack's CodeBuild emulator. The proxy asks here first whether the caller may, and in which account and region it
# is, and then asks the CodeBuild emulator.

OF_THE_STAND_IN = {"StartBuild", "BatchGetBuilds", "StopBuild", "ListBuilds", "ListBuildsForProject"}


@replace(codebuild, "_handle_request_sync")
def handle_codebuild(original, method, path, headers, body, query_params):
    if headers.get("x-amz-target", "").rsplit(".", 1)[-1] in OF_THE_STAND_IN:
        return json_response({"account": get_account_id(), "region": get_region()})
    return original(method, path, headers, body, query_params)


# The emulator drops the network of a project. AWS keeps it and answers with it; a network has all three fields:
# https://docs.aws.amazon.com/codebuild/latest/userguide/enabling-vpc-access-in-projects.html,
# https://docs.aws.amazon.com/codebuild/latest/APIReference/API_VpcConfig.html

NETWORK_MAXIMA = {"subnets": 16, "securityGroupIds": 5}


def refused_network(network):
    """What CodeBuild has against a network; nothing of one that it takes."""
    if not network:
        return None
    if not network.get("vpcId") or any(not network.get(field) for field in NETWORK_MAXIMA):
        return "VPC config: vpcId, subnets and securityGroupIds are required"
    for field, most in NETWORK_MAXIMA.items():
        if len(network[field]) > most:
            return (
                f"1 validation error detected: Value at 'vpcConfig.{field}' failed to satisfy constraint: "
                f"Member must have length less than or equal to {most}"
            )
    return None


@replace(codebuild, "_create_project")
def create_project(original, data):
    refused = refused_network(data.get("vpcConfig"))
    if refused:
        return error_response_json("InvalidInputException", refused, 400)
    answer = original(data)
    if answer[0] == 200 and data.get("vpcConfig"):
        codebuild._projects[data["name"]]["vpcConfig"] = data["vpcConfig"]
    return answer


@replace(codebuild, "_project_shape")
def project_shape(original, project):
    network = project.get("vpcConfig")
    return {**original(project), **({"vpcConfig": network} if network else {})}
