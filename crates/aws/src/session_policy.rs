//! What a session may do at most. A session policy never adds to a role: the session has what both allow.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use writ_kernel::{Error, Result};
use writ_wire::connections::StateBackend;

/// The most characters of inline policy and policy ARNs together (AWS STS API reference, `AssumeRole`).
pub const LIMIT: usize = 2048;

/// A session policy, at most [`LIMIT`] characters in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionPolicy {
    inline: Option<String>,
    arns: Vec<String>,
}

impl SessionPolicy {
    /// A policy that somebody wrote: a document and managed policies.
    ///
    /// # Errors
    /// `Invalid` when the document is not a JSON object, when there are more than ten managed policies, or one that is no
    /// ARN, or when it is too large in all.
    pub fn written(inline: Option<String>, arns: Vec<String>) -> Result<Self> {
        let invalid = |why: &str| Error::invalid("malformed_session_policy", why);
        if let Some(text) = &inline
            && !serde_json::from_str::<Value>(text).is_ok_and(|policy| policy.is_object())
        {
            return Err(invalid("a policy document is a JSON object"));
        }
        if arns.len() > 10 || !arns.iter().all(|arn| arn.starts_with("arn:") && arn.contains(":policy/")) {
            return Err(invalid("a session has at most ten managed policies, each named by its ARN"));
        }
        let policy = Self { inline, arns };
        if policy.fits() {
            return Ok(policy);
        }
        Err(invalid("a session policy has at most 2048 characters in all"))
    }

    /// The policy document, as JSON.
    pub fn inline(&self) -> Option<&str> {
        self.inline.as_deref()
    }

    /// Managed policies.
    pub fn arns(&self) -> &[String] {
        &self.arns
    }

    /// How many characters count against [`LIMIT`].
    pub fn len(&self) -> usize {
        self.inline.as_ref().map_or(0, String::len) + self.arns.iter().map(String::len).sum::<usize>()
    }

    /// Whether the session may do whatever its role may.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The policy under which nothing can be done.
    pub fn nothing() -> Self {
        let nothing = deny(&["*"], &json!({ "Resource": "*" }));
        Self { inline: Some(document(&[nothing])), arns: Vec::new() }
    }

    fn fits(&self) -> bool {
        self.len() <= LIMIT
    }
}

/// A resource that a plan changes.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Its type, like `aws_s3_bucket`.
    pub resource_type: &'a str,
    /// Whether it is deleted or replaced.
    pub deletes: bool,
}

/// The policy of a plan: read everything but stored content, and keep state and its lock.
///
/// Stored content is what lies in secrets, parameters under encryption, objects, queues, tables and streams: a
/// plan needs to know that they are, not what is in them.
pub fn for_plan(partition: &str, state: &StateBackend) -> SessionPolicy {
    let arns = vec![format!("arn:{partition}:iam::aws:policy/ReadOnlyAccess")];
    let build = |store: &Store| {
        let mut statements = store.allow.clone();
        statements
            .push(deny(&["s3:GetObject", "s3:GetObjectVersion"], &json!({ "NotResource": store.objects })));
        statements.push(deny(
            &[
                "dynamodb:GetItem",
                "dynamodb:BatchGetItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "dynamodb:GetRecords",
            ],
            &json!({ "NotResource": store.tables }),
        ));
        statements.push(deny(CONTENT, &json!({ "Resource": "*" })));
        statements.push(deny(
            &["kms:Decrypt"],
            &json!({ "Resource": "*", "Condition": { "StringNotLike": { "kms:ViaService": "s3.*" } } }),
        ));
        SessionPolicy { inline: Some(document(&statements)), arns: arns.clone() }
    };
    let stores = [Store::exact, Store::wide].map(|store| store(partition, state, Write::Lock));
    narrowest(stores.iter().map(build))
}

/// The policy of a look at whether a state can be kept: see the bucket and describe the table, and nothing else.
pub fn for_check(partition: &str, state: &StateBackend) -> SessionPolicy {
    let StateBackend::S3 { bucket, region, lock_table, .. } = state else { return SessionPolicy::nothing() };
    let allow = |action: &str, on: String| json!({ "Effect": "Allow", "Action": action, "Resource": on });
    let mut statements = vec![allow("s3:ListBucket", format!("arn:{partition}:s3:::{}", literal(bucket)))];
    statements.extend(lock_table.iter().map(|table| {
        let table = format!("arn:{partition}:dynamodb:{region}:*:table/{}", literal(table));
        allow("dynamodb:DescribeTable", table)
    }));
    SessionPolicy { inline: Some(document(&statements)), arns: Vec::new() }
}

/// The policy of an apply: the services of the resources it changes, nothing else; and where it deletes nothing of
/// a service, not that service's most destructive calls either. Empty, so that only the role limits, when a type
/// is not known here or the policy would be too large.
pub fn for_apply<'a>(
    partition: &str,
    state: &StateBackend,
    changes: impl IntoIterator<Item = Change<'a>>,
) -> SessionPolicy {
    let mut services: BTreeMap<&'static str, bool> = BTreeMap::new();
    for change in changes.into_iter().filter(|change| change.resource_type.starts_with("aws_")) {
        let Some(service) = service_of(change.resource_type) else { return SessionPolicy::default() };
        *services.entry(service).or_default() |= change.deletes;
    }
    let build = |store: &Store, forbid: bool| {
        let mut actions: Vec<String> = services.keys().map(|service| format!("{service}:*")).collect();
        actions.extend(SUPPORT.iter().map(|&action| action.to_owned()));
        let mut statements = store.allow.clone();
        statements.push(json!({ "Effect": "Allow", "Action": actions, "Resource": "*" }));
        let forbidden: Vec<&str> = DESTROYERS
            .iter()
            .filter(|(service, _)| services.get(service) == Some(&false))
            .flat_map(|(_, actions)| actions.iter().copied())
            .collect();
        if forbid && !forbidden.is_empty() {
            statements.push(deny(&forbidden, &json!({ "Resource": "*" })));
        }
        SessionPolicy { inline: Some(document(&statements)), arns: Vec::new() }
    };
    let [exact, wide] = [Store::exact, Store::wide].map(|store| store(partition, state, Write::State));
    narrowest(
        [(&exact, true), (&wide, true), (&wide, false)]
            .into_iter()
            .map(|(store, forbid)| build(store, forbid)),
    )
}

fn narrowest(candidates: impl Iterator<Item = SessionPolicy>) -> SessionPolicy {
    candidates.into_iter().find(SessionPolicy::fits).unwrap_or_default()
}

/// What reading content is called, beyond objects and tables.
const CONTENT: &[&str] = &[
    "secretsmanager:GetSecretValue",
    "secretsmanager:BatchGetSecretValue",
    "ec2:GetPasswordData",
    "ec2:GetConsole*",
    "sqs:ReceiveMessage",
    "kinesis:GetRecords",
    "athena:GetQueryResults",
    "codecommit:GitPull",
    "ecr:GetAuthorizationToken",
    "rds:DownloadDBLogFilePortion",
];

/// What providers need around the resources themselves: looking up networks, keys, log groups and roles.
const SUPPORT: &[&str] = &[
    "ec2:Describe*",
    "iam:Get*",
    "iam:List*",
    "iam:PassRole",
    "iam:CreateServiceLinkedRole",
    "kms:DescribeKey",
    "kms:ListAliases",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:GenerateDataKey*",
    "logs:Describe*",
    "logs:List*",
    "tag:*",
];

/// The calls with which a service loses whole things.
const DESTROYERS: &[(&str, &[&str])] = &[
    ("cloudfront", &["cloudfront:DeleteDistribution"]),
    ("dynamodb", &["dynamodb:DeleteTable", "dynamodb:DeleteBackup"]),
    ("ec2", &["ec2:TerminateInstances", "ec2:DeleteVolume", "ec2:DeleteSnapshot", "ec2:DeleteVpc"]),
    ("ecr", &["ecr:DeleteRepository"]),
    ("ecs", &["ecs:DeleteCluster"]),
    ("eks", &["eks:DeleteCluster"]),
    ("elasticfilesystem", &["elasticfilesystem:DeleteFileSystem"]),
    ("iam", &["iam:DeleteRole", "iam:DeleteUser"]),
    ("kms", &["kms:ScheduleKeyDeletion"]),
    ("lambda", &["lambda:DeleteFunction"]),
    ("rds", &["rds:DeleteDBInstance", "rds:DeleteDBCluster", "rds:DeleteDBSnapshot"]),
    ("route53", &["route53:DeleteHostedZone"]),
    ("s3", &["s3:DeleteBucket"]),
    ("secretsmanager", &["secretsmanager:DeleteSecret"]),
    ("sns", &["sns:DeleteTopic"]),
    ("sqs", &["sqs:DeleteQueue", "sqs:PurgeQueue"]),
];

/// Which IAM prefix the resource types of the AWS provider with this beginning belong to; the longest that fits
/// counts.
const SERVICES: &[(&str, &str)] = &[
    ("aws_acm_", "acm"),
    ("aws_ami", "ec2"),
    ("aws_api_gateway_", "apigateway"),
    ("aws_apigatewayv2_", "apigateway"),
    ("aws_autoscaling_", "autoscaling"),
    ("aws_cloudfront_", "cloudfront"),
    ("aws_cloudwatch_event_", "events"),
    ("aws_cloudwatch_log_", "logs"),
    ("aws_cloudwatch_metric_", "cloudwatch"),
    ("aws_db_", "rds"),
    ("aws_dynamodb_", "dynamodb"),
    ("aws_ebs_", "ec2"),
    ("aws_ecr_", "ecr"),
    ("aws_ecs_", "ecs"),
    ("aws_efs_", "elasticfilesystem"),
    ("aws_eip", "ec2"),
    ("aws_eks_", "eks"),
    ("aws_flow_log", "ec2"),
    ("aws_iam_", "iam"),
    ("aws_instance", "ec2"),
    ("aws_internet_gateway", "ec2"),
    ("aws_key_pair", "ec2"),
    ("aws_kms_", "kms"),
    ("aws_lambda_", "lambda"),
    ("aws_launch_template", "ec2"),
    ("aws_lb", "elasticloadbalancing"),
    ("aws_nat_gateway", "ec2"),
    ("aws_network_", "ec2"),
    ("aws_rds_", "rds"),
    ("aws_route", "ec2"),
    ("aws_route53_", "route53"),
    ("aws_s3_", "s3"),
    ("aws_secretsmanager_", "secretsmanager"),
    ("aws_security_group", "ec2"),
    ("aws_sfn_", "states"),
    ("aws_sns_", "sns"),
    ("aws_sqs_", "sqs"),
    ("aws_ssm_", "ssm"),
    ("aws_subnet", "ec2"),
    ("aws_volume_attachment", "ec2"),
    ("aws_vpc", "ec2"),
    ("aws_wafv2_", "wafv2"),
];

fn service_of(resource_type: &str) -> Option<&'static str> {
    let fitting = SERVICES.iter().filter(|(start, _)| resource_type.starts_with(start));
    fitting.max_by_key(|(start, _)| start.len()).map(|(_, service)| *service)
}

/// What of a state is written: a plan only locks it.
#[derive(Clone, Copy)]
enum Write {
    Lock,
    State,
}

/// The part of a policy that keeps state.
struct Store {
    allow: Vec<Value>,
    objects: Value,
    tables: Value,
}

impl Store {
    /// Exactly the objects under the prefix.
    fn exact(partition: &str, state: &StateBackend, write: Write) -> Self {
        match state {
            StateBackend::S3 { bucket, region, prefix, lock_table } => {
                let (objects, table) = (format!("{}*", literal(prefix)), lock_table.as_deref().map(literal));
                Self::s3(partition, bucket, region, &objects, table.as_deref(), write)
            }
            StateBackend::Azurerm { .. } | StateBackend::Gcs { .. } | StateBackend::Local {} => {
                Self::elsewhere()
            }
        }
    }

    /// The whole bucket and every table of its region, for when prefixes and names are too long.
    fn wide(partition: &str, state: &StateBackend, write: Write) -> Self {
        match state {
            StateBackend::S3 { bucket, region, lock_table, .. } => {
                Self::s3(partition, bucket, region, "*", lock_table.as_ref().map(|_| "*"), write)
            }
            StateBackend::Azurerm { .. } | StateBackend::Gcs { .. } | StateBackend::Local {} => {
                Self::elsewhere()
            }
        }
    }

    fn s3(
        partition: &str,
        bucket: &str,
        region: &str,
        objects: &str,
        lock_table: Option<&str>,
        write: Write,
    ) -> Self {
        let bucket = format!("arn:{partition}:s3:::{}", literal(bucket));
        let objects = json!(format!("{bucket}/{objects}"));
        let written = match write {
            Write::State => objects.clone(),
            Write::Lock => json!(format!("{}.tflock", objects.as_str().unwrap_or_default())),
        };
        let mut allow = vec![
            json!({ "Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketVersioning"], "Resource": bucket }),
            json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": objects }),
            json!({ "Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": written }),
            json!({ "Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*",
                    "Condition": { "StringLike": { "kms:ViaService": "s3.*" } } }),
        ];
        let tables =
            json!(format!("arn:{partition}:dynamodb:{region}:*:table/{}", lock_table.unwrap_or("-")));
        if lock_table.is_some() {
            allow.push(json!({
                "Effect": "Allow",
                "Action": ["dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"],
                "Resource": tables,
            }));
        }
        Self { allow, objects, tables }
    }

    /// State is not kept at Amazon.
    fn elsewhere() -> Self {
        let none = |service: &str| json!(format!("arn:aws:{service}:::-"));
        Self { allow: Vec::new(), objects: none("s3"), tables: json!("arn:aws:dynamodb:::table/-") }
    }
}

/// `text` with each character that means something in a policy replaced by the pattern for any one character.
fn literal(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '*' | '$') { '?' } else { c }).collect()
}

fn deny(actions: &[&str], rest: &Value) -> Value {
    let mut statement = json!({ "Effect": "Deny", "Action": actions });
    if let (Some(statement), Some(rest)) = (statement.as_object_mut(), rest.as_object()) {
        statement.extend(rest.clone());
    }
    statement
}

fn document(statements: &[Value]) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}
