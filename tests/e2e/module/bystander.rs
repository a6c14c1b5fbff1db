//! What the bucket policies refuse to roles of the account that are not ours, whatever IAM allows them. An example is
//! the look-up role of a CDK bootstrap, which reads everything and which modules may be allowed to assume.

use std::collections::BTreeSet;

use seedflow_e2e::{TestStack, eventually, run};
use seedflow_local::aws_api::{ApiError, AwsApi};
use serde_json::json;

use super::STACK;

/// A client as a role that may do everything in the account.
async fn bystander(stack: &TestStack, path: &str, name: &str) -> AwsApi {
    let account = &stack.about().account;
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
    }]});
    let everything =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    let of_iam = |action| [("Action", action), ("Version", "2010-05-08"), ("RoleName", name)];
    let (trust, everything) = (trust.to_string(), everything.to_string());
    for (action, more) in [
        (
            "CreateRole",
            vec![("Path", path), ("AssumeRolePolicyDocument", &trust)],
        ),
        (
            "PutRolePolicy",
            vec![("PolicyName", "everything"), ("PolicyDocument", &everything)],
        ),
    ] {
        let fields = [of_iam(action).to_vec(), more].concat();
        stack.client().form("iam", &fields).await.unwrap();
    }
    let arn = format!("arn:aws:iam::{account}:role{path}{name}");
    let keys = stack.client().assume_role(&arn, "bystander").await.unwrap();
    stack.client().with_credentials(keys)
}

fn refused<T>(outcome: Result<T, ApiError>) -> bool {
    match outcome {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.code, "AccessDenied", "{error}");
            true
        }
    }
}

const FOLDERS: [&str; 10] = [
    "builds",
    "callbacks",
    "deployed",
    "index",
    "locks",
    "plans",
    "reports",
    "sources",
    "uploads",
    "values",
];

/// The folders of the work bucket in which a client may neither read, write nor delete; in the others it may do
/// everything.
async fn closed(api: &AwsApi, bucket: &str) -> BTreeSet<&'static str> {
    let mut closed = BTreeSet::new();
    for folder in FOLDERS {
        // Not below sources/{project}/{deployment}/{group}: that would start an execution.
        let key = format!("{folder}/bystander.json");
        let write = refused(api.put_object(bucket, &key, b"{}".to_vec()).await);
        let read = refused(api.read_object(bucket, &key).await);
        let delete = refused(api.delete_object(bucket, &key).await);
        assert!(
            read == write && write == delete,
            "{folder}: {read} {write} {delete}"
        );
        if read {
            closed.insert(folder);
        }
    }
    closed
}

#[test]
fn what_seedflow_believes_is_kept_from_roles_that_are_not_ours_and_open_to_administrators() {
    run(async {
        let stack = STACK.get().await;
        let bucket = &stack.about().work_bucket;
        let lookup = bystander(stack, "/", "cdk-hnb659fds-lookup-role").await;
        let kept = ["builds", "callbacks", "deployed", "locks", "plans"].into();
        assert_eq!(closed(&lookup, bucket).await, kept);
        // The name of a build's folder would open it to every other build.
        for prefix in ["", "builds/", "callbacks/"] {
            assert!(refused(lookup.list_objects(bucket, prefix).await), "{prefix}");
        }
        let reports = lookup.list_objects(bucket, "reports/").await;
        reports.expect("reports are open to roles that IAM allows them");
        // It only begins like one of ours, and like an administrator's.
        let name = "AWSReservedSSO_AdministratorAccess_bystander";
        let like = bystander(stack, "/", name).await;
        assert_eq!(closed(&like, bucket).await, kept);
        let path = "/aws-reserved/sso.amazonaws.com/eu-west-1/";
        let administrator =
            bystander(stack, path, "AWSReservedSSO_AdministratorAccess_0123456789abcdef").await;
        assert_eq!(closed(&administrator, bucket).await, BTreeSet::new());
    });
}

/// Makes an access point of a bucket, and returns the alias that requests use in place of the bucket's name.
async fn access_point(client: &AwsApi, name: &str, bucket: &str) -> String {
    let template = json!({
        "Resources": {"Point": {"Type": "AWS::S3::AccessPoint", "Properties": {"Bucket": bucket, "Name": name}}},
        "Outputs": {"Alias": {"Value": {"Fn::GetAtt": ["Point", "Alias"]}}},
    });
    let of_stack = |action| [("Action", action), ("Version", "2010-05-15"), ("StackName", name)];
    let template = template.to_string();
    let create = [
        of_stack("CreateStack").to_vec(),
        vec![("TemplateBody", &template)],
    ]
    .concat();
    client.form("cloudformation", &create).await.unwrap();
    eventually("an access point", || async {
        let described = client
            .form("cloudformation", &of_stack("DescribeStacks"))
            .await
            .unwrap();
        let (_, output) = described.split_once("<OutputValue>")?;
        Some(output.split_once("</OutputValue>")?.0.to_owned())
    })
    .await
}

/// Reading is left to IAM, so that people can see the policy that refuses their request.
#[test]
fn a_policy_is_written_by_administrators_only() {
    run(async {
        let stack = STACK.get().await;
        let bucket = &stack.about().work_bucket;
        let key = "policies/bystander/prod.json";
        let path = "/aws-reserved/sso.amazonaws.com/";
        let administrator = bystander(stack, path, "AWSReservedSSO_AdministratorAccess_policies").await;
        let put = administrator.put_object(bucket, key, b"{}".to_vec()).await;
        put.expect("an administrator writes it");
        let deployer = bystander(stack, "/", "bystander-deployer").await;
        assert!(!refused(deployer.read_object(bucket, key).await), "reading");
        assert!(
            refused(deployer.put_object(bucket, key, b"{}".to_vec()).await),
            "writing"
        );
        assert!(refused(deployer.delete_object(bucket, key).await), "deleting");
        let other = "policies/bystander/other.json";
        assert!(
            refused(deployer.put_object(bucket, other, b"{}".to_vec()).await),
            "a new one"
        );
    });
}

#[test]
fn an_access_point_opens_neither_bucket() {
    run(async {
        let stack = STACK.get().await;
        let client = stack.client();
        let path = "/aws-reserved/sso.amazonaws.com/";
        let administrator = bystander(stack, path, "AWSReservedSSO_AdministratorAccess_points").await;
        let key = "uploads/point.json";
        for (name, bucket) in [
            ("bystander-work", &stack.about().work_bucket),
            ("bystander-bundles", &stack.about().bundle_bucket),
        ] {
            let alias = access_point(client, name, bucket).await;
            let put = administrator.put_object(bucket, key, b"{}".to_vec()).await;
            put.expect("the bucket itself is open to administrators");
            let through = administrator.read_object(&alias, key).await;
            assert!(refused(through), "reading through {alias}");
            let through = administrator.put_object(&alias, key, b"{}".to_vec()).await;
            assert!(refused(through), "writing through {alias}");
        }
    });
}
