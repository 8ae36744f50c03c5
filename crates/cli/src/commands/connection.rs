//! Cloud connections.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args as Group, Subcommand};
use serde_json::Value;
use writ_client::Client;
use writ_kernel::Name;
use writ_wire::{
    connections::{Cloud, Connection, CreateConnection, PreflightReport, StateBackend},
    errands::{Errand, ErrandState},
    tenancy::Environment,
};

use crate::{
    args::parsed,
    commands::{Context, errand},
    input,
    listing::{self, Handle, Listing, handle},
    output::{Failure, details, when},
};

/// Where deployments act: references, never credentials.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Register one: from a file, or for AWS or nothing from options.
    Create(Box<Create>),
    /// List them.
    List(Listing),
    /// Show one.
    Show {
        /// Its name or id.
        #[arg(value_parser = handle)]
        connection: Handle,
    },
    /// Remove one.
    Delete {
        /// Its name or id.
        #[arg(value_parser = handle)]
        connection: Handle,
    },
    /// Check one before anything uses it. Fails when something blocks.
    Preflight {
        /// Its name or id.
        #[arg(value_parser = handle)]
        connection: Handle,
        /// Let a disposable runner try it first: borrow what it refers to, and reach its state backend.
        #[arg(long)]
        connect: bool,
    },
}

/// A new connection.
#[derive(Debug, Group)]
pub(crate) struct Create {
    /// Its name; may stand in the file.
    #[arg(value_parser = parsed::<Name>, required_unless_present = "file")]
    name: Option<Name>,
    /// The environment it is for, by name or id; may stand in the file.
    #[arg(long, value_name = "ENVIRONMENT", value_parser = handle, required_unless_present = "file")]
    env: Option<Handle>,
    /// The connection in JSON, as the API takes it; `environment` may be a name. `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["local", "aws", "providers"])]
    file: Option<PathBuf>,
    /// No cloud, and state kept by the server: for environments of kind dev.
    #[arg(long, conflicts_with = "aws")]
    local: bool,
    #[command(flatten)]
    aws: Aws,
    /// A provider the configuration may use, like `hashicorp/aws`; repeat for more.
    #[arg(long = "provider", id = "providers", value_name = "SOURCE")]
    providers: Vec<String>,
}

/// An AWS account and its state bucket.
#[derive(Debug, Group)]
#[group(id = "aws", multiple = true)]
#[command(next_help_heading = "AWS")]
struct Aws {
    /// The role to assume, `arn:aws:iam::<account>:role/<name>`.
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// The external id the role's trust policy demands.
    #[arg(long, value_name = "ID", requires = "role_arn")]
    external_id: Option<String>,
    /// The region to work in.
    #[arg(long, value_name = "REGION", requires = "role_arn")]
    region: Option<String>,
    /// A region a plan may name; repeat for more, only --region unless told.
    #[arg(long, value_name = "REGION", requires = "role_arn")]
    allowed_region: Vec<String>,
    /// The bucket of the state.
    #[arg(long, value_name = "BUCKET", requires = "role_arn")]
    bucket: Option<String>,
    /// The bucket's region; --region unless told.
    #[arg(long, value_name = "REGION", requires = "bucket")]
    bucket_region: Option<String>,
    /// The prefix of the state's key.
    #[arg(long, value_name = "PREFIX", requires = "bucket")]
    prefix: Option<String>,
    /// The DynamoDB table for locks; a lock file in the bucket unless told.
    #[arg(long, value_name = "TABLE", requires = "bucket")]
    lock_table: Option<String>,
}

impl Aws {
    fn into_parts(self) -> Result<(Cloud, StateBackend), Failure> {
        let missing = |option: &str| {
            Failure::usage(format!("--{option} is missing"))
                .hint("AWS needs --role-arn, --external-id, --region, --bucket and --prefix; without a cloud say --local")
        };
        let region = self.region.ok_or_else(|| missing("region"))?;
        let cloud = Cloud::Aws {
            role_arn: self.role_arn.ok_or_else(|| missing("role-arn"))?,
            external_id: self.external_id.ok_or_else(|| missing("external-id"))?,
            region: region.clone(),
            allowed_regions: self.allowed_region,
        };
        let backend = StateBackend::S3 {
            bucket: self.bucket.ok_or_else(|| missing("bucket"))?,
            region: self.bucket_region.unwrap_or(region),
            prefix: self.prefix.ok_or_else(|| missing("prefix"))?,
            lock_table: self.lock_table,
        };
        Ok((cloud, backend))
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    match command {
        Command::Create(options) => {
            let wanted = wanted(&client, *options).await?;
            let made: Connection = client.post("/api/v1/connections", &wanted).await?;
            context.output.result(&made, shown);
        }
        Command::List(listing) => {
            let page = listing::page::<Connection>(&client, "/api/v1/connections", &[], &listing).await?;
            listing::show(
                context.output,
                &page,
                &["NAME", "CLOUD", "STATE", "CREATED", "ID"],
                |connection| {
                    vec![
                        connection.name.clone(),
                        cloud(&connection.target).to_owned(),
                        state(&connection.backend).to_owned(),
                        when(connection.created_at),
                        connection.id.to_string(),
                    ]
                },
            );
        }
        Command::Show { connection } => {
            let id = listing::id::<Connection>(&client, &connection).await?;
            let connection: Connection = client.get(&format!("/api/v1/connections/{id}")).await?;
            context.output.result(&connection, shown);
        }
        Command::Delete { connection } => {
            let id = listing::id::<Connection>(&client, &connection).await?;
            client.delete::<()>(&format!("/api/v1/connections/{id}")).await?;
            context.output.done("removed");
        }
        Command::Preflight { connection, connect } => {
            let id = listing::id::<Connection>(&client, &connection).await?;
            if connect {
                let path = format!("/api/v1/connections/{id}/validations");
                let asked: Errand = client.post(&path, &()).await?;
                context.output.note(format!("validation {}: a runner tries the connection", asked.id));
                let ended = errand::wait(&client, asked.id).await?;
                if matches!(ended.state, ErrandState::Cancelled) {
                    context.output.note("the validation was cancelled");
                }
            }
            let report: PreflightReport =
                client.post(&format!("/api/v1/connections/{id}/preflight"), &()).await?;
            context.output.result(&report, preflight);
            return Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn wanted(client: &Client, options: Create) -> Result<CreateConnection, Failure> {
    if let Some(file) = &options.file {
        return from_file(client, &options, input::json(file)?).await;
    }
    let (Some(name), Some(environment)) = (options.name, options.env) else {
        return Err(Failure::usage("a connection needs a name and --env"));
    };
    let (target, backend) =
        if options.local { (Cloud::Local {}, StateBackend::Local {}) } else { options.aws.into_parts()? };
    Ok(CreateConnection {
        name: name.to_string(),
        environment: listing::id::<Environment>(client, &environment).await?,
        target,
        backend,
        allowed_providers: options.providers,
    })
}

/// What was typed wins over what stands in the file.
async fn from_file(client: &Client, options: &Create, mut file: Value) -> Result<CreateConnection, Failure> {
    let malformed = |why: String| Failure::usage(format!("the file holds no connection: {why}"));
    let members = file.as_object_mut().ok_or_else(|| malformed("it is no JSON object".to_owned()))?;
    if let Some(name) = &options.name {
        members.insert("name".to_owned(), name.to_string().into());
    }
    let environment = match (&options.env, members.get("environment").and_then(Value::as_str)) {
        (Some(given), _) => given.clone(),
        (None, Some(text)) => handle(text).map_err(malformed)?,
        (None, None) => return Err(malformed("it names no `environment`".to_owned())),
    };
    let id = listing::id::<Environment>(client, &environment).await?;
    members.insert("environment".to_owned(), id.to_string().into());
    serde_json::from_value(file).map_err(|error| malformed(error.to_string()))
}

fn shown(connection: &Connection) -> String {
    let mut rows = vec![
        ("connection".to_owned(), connection.name.clone()),
        ("id".to_owned(), connection.id.to_string()),
        ("environment".to_owned(), connection.environment.to_string()),
    ];
    rows.extend(members("target", &serde_json::to_value(&connection.target).unwrap_or_default()));
    rows.extend(members("state", &serde_json::to_value(&connection.backend).unwrap_or_default()));
    rows.push(("providers".to_owned(), connection.allowed_providers.join(" ")));
    rows.push(("created".to_owned(), when(connection.created_at)));
    let rows: Vec<_> = rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    details(&rows)
}

fn members(of: &str, value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (format!("{of} {name}"), text(value)))
        .collect()
}

const fn cloud(cloud: &Cloud) -> &'static str {
    match cloud {
        Cloud::Aws { .. } => "aws",
        Cloud::Azure { .. } => "azure",
        Cloud::Gcp { .. } => "gcp",
        Cloud::Local {} => "local",
    }
}

const fn state(backend: &StateBackend) -> &'static str {
    match backend {
        StateBackend::S3 { .. } => "s3",
        StateBackend::Azurerm { .. } => "azurerm",
        StateBackend::Gcs { .. } => "gcs",
        StateBackend::Local {} => "local",
    }
}

fn preflight(report: &PreflightReport) -> String {
    let mut lines = vec![errand::checks(&report.checks)];
    if let Some(validation) = &report.validation {
        let (age, state) = (validation.age_seconds, validation.state.as_str());
        lines
            .push(format!("a runner tried it {age} s ago and has {state}: validation {}", validation.errand));
    }
    lines.push(if report.passed { "nothing blocks" } else { "something blocks" }.to_owned());
    lines.join("\n")
}
