//! Rules, queues and topics.

use super::*;

#[test]
fn every_end_of_an_execution_is_cleaned_up_after() {
    let template = template();
    let pattern = &template["Resources"]["ExecutionEndedRule"]["Properties"]["EventPattern"];
    let ends = ["SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"];
    assert_eq!(texts(&pattern["detail"]["status"]), ends.into());
    assert_eq!(
        texts(&pattern["detail"]["stateMachineArn"]),
        ["Deploy", "DeployModule"].into()
    );
    // The whole event can be longer than the input of an execution.
    let target = &template["Resources"]["ExecutionEndedRule"]["Properties"]["Targets"][0];
    assert_eq!(
        target["InputTransformer"]["InputTemplate"],
        "{\"executionArn\": <execution>}"
    );
    let resources = template["Resources"].as_object().unwrap();
    for (name, rule) in resources.iter().filter(|(_, r)| r["Type"] == "AWS::Events::Rule") {
        for target in items(&rule["Properties"]["Targets"]) {
            assert!(
                target["RetryPolicy"]["MaximumRetryAttempts"].is_number(),
                "{name}"
            );
            assert_eq!(
                target["DeadLetterConfig"]["Arn"], "FailedEventsQueue.Arn",
                "{name}"
            );
        }
    }
}

/// Events of S3 arrive in any order and more than once: the execution that they start deploys the newest upload.
#[test]
fn no_upload_starts_an_execution_of_one_version() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let uploads: Vec<&Value> = resources
        .values()
        .filter(|resource| {
            texts(&resource["Properties"]["EventPattern"]["detail-type"]).contains("Object Created")
        })
        .flat_map(|rule| items(&rule["Properties"]["Targets"]))
        .collect();
    assert_eq!(uploads.len(), 3);
    for target in uploads {
        let transformer = &target["InputTransformer"];
        let paths = transformer["InputPathsMap"].as_object().unwrap();
        assert_eq!(paths.keys().collect::<Vec<_>>(), ["bucket", "key", "requester"]);
        assert!(!transformer.to_string().contains("version"), "{transformer}");
    }
}

#[test]
fn the_rule_lets_every_end_of_our_builds_through_and_no_other_event() {
    let template = template();
    let pattern = &template["Resources"]["BuildEndedRule"]["Properties"]["EventPattern"];
    let ends = ["SUCCEEDED", "FAILED", "FAULT", "STOPPED", "TIMED_OUT"];
    assert_eq!(texts(&pattern["detail"]["build-status"]), ends.into());
    assert_eq!(texts(&pattern["source"]), ["EventSource"].into());
    let [own, other] = items(&pattern["detail"]["project-name"])[..] else {
        panic!("two projects")
    };
    assert_eq!(own, "CodeBuildProjectName");
    assert_eq!(other["prefix"], "${CodeBuildProjectName}-");
}

#[test]
fn queues_and_the_topic_are_encrypted_and_refuse_what_comes_without_tls() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let policies = resources.iter().filter_map(|(name, policy)| {
        let action = match policy["Type"].as_str()? {
            "AWS::SQS::QueuePolicy" => "sqs:*",
            "AWS::SNS::TopicPolicy" => "sns:Publish",
            _ => return None,
        };
        Some((name, action))
    });
    let mut of = BTreeSet::new();
    for (name, action) in policies {
        let statement = statement(&template, name, "TlsOnly");
        assert_eq!(statement["Effect"], "Deny", "{name}");
        assert_eq!(statement["Principal"], "*", "{name}");
        assert_eq!(statement["Action"], action, "{name}");
        assert_eq!(
            statement["Condition"]["Bool"]["aws:SecureTransport"], false,
            "{name}"
        );
        of.insert(name.strip_suffix("Policy").unwrap());
    }
    let kinds = ["AWS::SQS::Queue", "AWS::SNS::Topic"];
    let all = resources
        .iter()
        .filter(|(_, resource)| kinds.contains(&resource["Type"].as_str().unwrap()));
    for (name, resource) in all {
        assert!(of.contains(name.as_str()), "{name} has no policy");
        let properties = &resource["Properties"];
        assert!(
            properties["SqsManagedSseEnabled"] == true
                || properties["KmsMasterKeyId"] == "NotificationKey.Arn",
            "{name}"
        );
    }
}

/// EventBridge sends neither aws:SourceArn nor aws:SourceAccount to KMS: a condition on them would stop every mail.
#[test]
fn publishers_to_the_topic_may_use_its_key_and_the_key_exists_only_with_the_topic() {
    let template = template();
    let key = &template["Resources"]["NotificationKey"];
    assert_eq!(key["Condition"], "HasChatOrNotifications");
    assert_eq!(
        template["Resources"]["NotificationTopic"]["Condition"],
        "HasNotifications"
    );
    assert_eq!(template["Resources"]["ChatTopic"]["Condition"], "HasChat");
    assert_eq!(key["Properties"]["EnableKeyRotation"], true);
    let topic = &template["Resources"]["NotificationTopicPolicy"]["Properties"]["PolicyDocument"];
    let publishers: BTreeSet<&str> = items(&topic["Statement"])
        .into_iter()
        .filter_map(|statement| statement["Principal"]["Service"].as_str())
        .collect();
    let of_key = items(&key["Properties"]["KeyPolicy"]["Statement"]);
    let services = of_key
        .iter()
        .find(|statement| statement["Sid"] == "PublishToTheTopic")
        .unwrap();
    assert_eq!(texts(&services["Principal"]["Service"]), publishers);
    assert_eq!(
        texts(&services["Action"]),
        ["kms:Decrypt", "kms:GenerateDataKey*"].into()
    );
    assert!(services["Condition"].is_null());
}

#[test]
fn rules_take_events_of_this_account_and_no_replays_and_have_names_that_builds_are_denied() {
    let template = template();
    let denied = statement(&template, "BuildDenyAccountPolicy", "KeepFromOurRules");
    assert_eq!(denied["Action"], "events:*");
    let denied = texts(&denied["Resource"]);
    assert!(
        denied
            .iter()
            .any(|arn| arn.ends_with(":rule/${AWS::StackName}-*")),
        "{denied:?}"
    );
    let resources = template["Resources"].as_object().unwrap();
    let rules = resources.iter().filter(|(_, r)| r["Type"] == "AWS::Events::Rule");
    for (name, rule) in rules {
        let properties = &rule["Properties"];
        // A name of EventBridge has at most 64 characters; CloudFormation would shorten a stack's name for it.
        let given = properties["Name"].as_str().unwrap_or_default();
        assert!(given.starts_with("${AWS::StackName}-"), "{name}: {given}");
        let pattern = &properties["EventPattern"];
        let ours = serde_json::json!(["AWS::AccountId"]);
        let accounts = match name.as_str() {
            // And those with targets, if there are any: all that the bus admits, where an organization takes the place of
            // the list.
            "BuildEndedRule" => serde_json::json!([
                "HasTargets",
                [
                    "HasTargetOrganization",
                    "AWS::NoValue",
                    [",", [",", ["AWS::AccountId", [",", "TargetAccounts"]]]]
                ],
                ours,
            ]),
            _ => ours,
        };
        assert_eq!(pattern["account"], accounts, "{name}");
        assert_eq!(
            pattern["replay-name"],
            serde_json::json!([{"exists": false}]),
            "{name}"
        );
    }
}

/// Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping".
#[test]
fn an_event_of_the_queue_is_hidden_for_as_long_as_all_tries_of_its_batch_may_take() {
    let template = template();
    let properties = |name: &str| template["Resources"][name]["Properties"].clone();
    let timeout = properties("PublishReportFunction")["Timeout"].as_i64().unwrap();
    let window = properties("PublishReportMapping")["MaximumBatchingWindowInSeconds"]
        .as_i64()
        .unwrap();
    assert_eq!(
        properties("PublishReportQueue")["VisibilityTimeout"].as_i64(),
        Some(6 * timeout + window)
    );
}
