//! Session policies, for any plan and state.

use proptest::prelude::*;
use writ_runner::aws::session_policy::{Change, LIMIT, for_apply, for_plan};
use writ_wire::connections::StateBackend;

const TYPES: [&str; 14] = [
    "aws_s3_bucket",
    "aws_instance",
    "aws_iam_role",
    "aws_lambda_function",
    "aws_db_instance",
    "aws_dynamodb_table",
    "aws_sqs_queue",
    "aws_route53_zone",
    "aws_route_table",
    "aws_eks_cluster",
    "aws_kms_key",
    "aws_efs_file_system",
    "aws_secretsmanager_secret",
    "null_resource",
];

fn state() -> impl Strategy<Value = StateBackend> {
    let s3 = ("[a-z0-9.-]{3,63}", "[ -~]{0,1200}", proptest::option::of("[A-Za-z0-9_.-]{3,255}")).prop_map(
        |(bucket, prefix, lock_table)| StateBackend::S3 {
            bucket,
            region: "eu-central-1".into(),
            prefix,
            lock_table,
        },
    );
    prop_oneof![s3, Just(StateBackend::Local {})]
}

proptest! {
    #[test]
    fn a_policy_is_json_and_never_too_large(
        state in state(),
        changes in proptest::collection::vec((0..TYPES.len(), any::<bool>()), 0..60),
    ) {
        let changes = changes.iter().map(|(index, deletes)| Change { resource_type: TYPES[*index], deletes: *deletes });
        for policy in [for_plan("aws-us-gov", &state), for_apply("aws", &state, changes)] {
            prop_assert!(policy.len() <= LIMIT);
            let document: serde_json::Value = serde_json::from_str(policy.inline().unwrap()).unwrap();
            prop_assert_eq!(&document["Version"], "2012-10-17");
        }
    }
}

#[test]
fn an_unknown_type_leaves_the_limits_to_the_role() {
    let change = Change { resource_type: "aws_braket_quantum_task", deletes: false };
    assert!(for_apply("aws", &StateBackend::Local {}, [change]).is_empty());
}

#[test]
fn the_longest_known_beginning_names_the_service() {
    let actions = |resource_type| {
        let policy = for_apply("aws", &StateBackend::Local {}, [Change { resource_type, deletes: true }]);
        let document: serde_json::Value = serde_json::from_str(policy.inline().unwrap()).unwrap();
        document["Statement"][0]["Action"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(actions("aws_route_table"), "ec2:*");
    assert_eq!(actions("aws_route53_zone"), "route53:*");
}

#[test]
fn a_plan_locks_state_without_writing_it() {
    let state = StateBackend::S3 {
        bucket: "acme-state".into(),
        region: "eu-central-1".into(),
        prefix: "writ/web".into(),
        lock_table: None,
    };
    let written = |policy: &str| {
        let document: serde_json::Value = serde_json::from_str(policy).unwrap();
        let statements = document["Statement"].as_array().unwrap().clone();
        let writes = |statement: &serde_json::Value| statement["Action"].to_string().contains("s3:PutObject");
        statements.into_iter().find(writes).unwrap()["Resource"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        written(for_plan("aws", &state).inline().unwrap()),
        "arn:aws:s3:::acme-state/writ/web*.tflock"
    );
    assert_eq!(written(for_apply("aws", &state, []).inline().unwrap()), "arn:aws:s3:::acme-state/writ/web*");
}

#[test]
fn a_plan_reads_no_stored_secret() {
    let policy = for_plan("aws", &StateBackend::Local {});
    assert_eq!(policy.arns(), ["arn:aws:iam::aws:policy/ReadOnlyAccess"]);
    let document: serde_json::Value = serde_json::from_str(policy.inline().unwrap()).unwrap();
    let denied: Vec<String> = document["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|statement| statement["Effect"] == "Deny")
        .flat_map(|statement| statement["Action"].as_array().unwrap().clone())
        .map(|action| action.as_str().unwrap().to_owned())
        .collect();
    for action in [
        "secretsmanager:GetSecretValue",
        "s3:GetObject",
        "dynamodb:GetItem",
        "kms:Decrypt",
        "sqs:ReceiveMessage",
    ] {
        assert!(denied.iter().any(|denied| denied == action), "{action}");
    }
}
