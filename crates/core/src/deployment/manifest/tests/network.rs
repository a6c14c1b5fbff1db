//! The networks of builds.

use super::*;

/// A manifest whose region has this network, and these `parametersRegional`.
fn in_network(network: &str, regional: &str) -> String {
    let mappings = format!(
        "targetAccountMappings:\n- alias: first\n  accountId: '111111111111'\n  default: true\n  parametersGlobal: {{global: vpc-1}}\n  regionMappings:\n  - region: eu-west-1\n    default: true\n    parametersRegional: {{{regional}}}\n    network: {{{network}}}\n"
    );
    with_module("", &mappings)
}

#[test]
fn a_network_comes_from_the_manifest_its_regional_parameters_variables_and_parameter_store() {
    let network = "vpcId: {valueFrom: {parameterValue: vpc}}, privateSubnetIds: {value_from: {env_variable: SUBNETS}}, security_group_ids: {valueFrom: {parameterStore: /net/groups}}";
    let files = [("deployment.yaml", &*in_network(network, "vpc: vpc-1"))];
    let read = read_with(&files, &[("SUBNETS", "[\"subnet-1\", \"subnet-2\"]")], None).unwrap();
    assert_eq!(
        Value::Object(read.groups[0].modules[0].build.clone()),
        json!({"network": {"vpc_id": "vpc-1", "subnet_ids": "[\"subnet-1\", \"subnet-2\"]",
            "security_group_ids": {"parameter_store": "/net/groups"}}})
    );
    let literal = "vpcId: vpc-1, privateSubnetIds: [subnet-1], securityGroupIds: [sg-1]";
    assert!(
        module_of(&in_network(literal, ""))
            .options
            .build
            .network
            .is_some()
    );
    assert!(module_of(&in_network("", "")).build.is_empty());
}

#[test]
fn a_network_that_is_not_whole_is_no_build_outside_of_it() {
    for (network, expected) in [
        (
            "vpcId: vpc-1, privateSubnetIds: [subnet-1]",
            "deployment.yaml:16: targetAccountMappings[0].regionMappings[0].network: securityGroupIds is missing",
        ),
        (
            "vpcId: {valueFrom: {parameterValue: global}}, privateSubnetIds: [subnet-1], securityGroupIds: [sg-1]",
            "network.vpcId.valueFrom.parameterValue: expected a key of the region's parametersRegional, found \"global\"",
        ),
        (
            "vpcId: vpc-1, privateSubnetIds: [sg-1], securityGroupIds: [sg-1]",
            "network.privateSubnetIds: expected 1 to 16 ids such as subnet-0a1b2c3d",
        ),
        (
            "vpcId: {valueFrom: {moduleMetadata: {group: g, name: m}}}, privateSubnetIds: [subnet-1], securityGroupIds: [sg-1]",
            "network.vpcId.valueFrom.moduleMetadata: expected one of parameterValue, parameterStore, envVariable, found an unknown field",
        ),
        (
            "vpc: vpc-1",
            "network.vpc: expected one of vpcId, privateSubnetIds, securityGroupIds, found",
        ),
    ] {
        let problems = problems_of(&in_network(network, ""));
        assert!(
            problems.len() == 1 && says(&problems[0], expected),
            "{problems:#?} / {expected}"
        );
    }
}

#[test]
fn a_network_that_no_administrator_named_is_refused_before_anything_runs() {
    let read = |network: &str, allowed: AllowedNetworks| {
        let maxima = Maxima {
            networks: Some(allowed),
            ..Maxima::OF_AWS
        };
        let options = ManifestOptions::default();
        let given = LoadContext {
            maxima: &maxima,
            ..LoadContext::offline(&options)
        };
        check(
            &mut repository(&[("deployment.yaml", &in_network(network, ""))]),
            &given,
        )
    };
    let literal = "vpcId: vpc-1, privateSubnetIds: [subnet-1], securityGroupIds: [sg-1]";
    assert!(read(literal, AllowedNetworks::new("subnet-1,subnet-2", "sg-1")).is_ok());
    let refused = problems(read(literal, AllowedNetworks::new("subnet-1", "")));
    assert!(
        refused.len() == 1
            && says(
                &refused[0],
                "deployment.yaml:16: targetAccountMappings[0].regionMappings[0].network.securityGroupIds: expected ids that the template parameter BuildSecurityGroupIds allows…none…found \"sg-1\""
            ),
        "{refused:#?}"
    );
    let stored =
        "vpcId: vpc-1, privateSubnetIds: {valueFrom: {parameterStore: /net}}, securityGroupIds: [sg-1]";
    assert!(read(stored, AllowedNetworks::new("subnet-1", "sg-1")).is_ok());
    let refused = problems(read(stored, AllowedNetworks::new("", "sg-1")));
    assert!(
        refused.len() == 1
            && says(
                &refused[0],
                "network.privateSubnetIds: expected …BuildSubnetIds…none…found those in the parameter /net"
            ),
        "{refused:#?}"
    );
}
