//! Evidence.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args as Group, Subcommand};
use serde_json::json;
use uuid::Uuid;
use writ_client::Client;
use writ_kernel::Action;
use writ_wire::evidence::{EraseSubject, Erasure, LogInfo, Record};

use crate::{
    args::parsed,
    commands::Context,
    input,
    listing::{self, Listing, Principal, principal, principal_id},
    output::{Failure, Output, details, when},
    verify,
};

const OUTCOMES: [&str; 5] = ["allow", "refuse", "intent", "done", "fail"];

/// What happened, provably.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List records, newest first.
    List(Wanted),
    /// Show one record, with who, where and what.
    Show {
        /// Its id, as a receipt names it.
        record: Uuid,
    },
    /// Print the proof that a record is in the log (C2SP tlog-proof).
    Proof {
        /// Its id.
        record: Uuid,
        /// Write `<id>.leaf`, `<id>.tlog-proof` and `keys` into this directory instead.
        #[arg(long, value_name = "DIRECTORY")]
        to: Option<PathBuf>,
    },
    /// Show which log it is, how long it is, and with which keys it is signed.
    Log,
    /// Print the newest signed checkpoint. Keep it, for `writ evidence verify --known`.
    Checkpoint,
    /// Export the log with what its records say, as a gzipped tar archive.
    Export(Export),
    /// Verify an export, or one leaf by its proof, from files alone. Exits with 4 when anything is wrong.
    Verify(Verify),
    /// Erase what a person's or service account's records say of them. The leaves stay provable.
    Erase {
        /// A name, an id, `person/<name>` or `service/<name>`.
        #[arg(value_parser = principal)]
        subject: Principal,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

/// Which records are wanted.
#[derive(Debug, Group)]
pub(crate) struct Wanted {
    /// Only of this action, like `runtime.deployments.apply`.
    #[arg(long, value_parser = parsed::<Action>)]
    action: Option<Action>,
    /// Only with this outcome.
    #[arg(long, value_parser = OUTCOMES)]
    outcome: Option<String>,
    /// Only about this thing.
    #[arg(long, value_name = "ID")]
    resource: Option<Uuid>,
    /// Only of this trace.
    #[arg(long, value_name = "TRACE")]
    trace: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

/// Where an export goes, and what is in it.
#[derive(Debug, Group)]
pub(crate) struct Export {
    /// The new file.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The first record whose payload is wanted, by its index.
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// The index after the last record whose payload is wanted.
    #[arg(long, value_name = "INDEX")]
    until: Option<u64>,
}

/// What is to be verified.
#[derive(Debug, Group)]
pub(crate) struct Verify {
    /// An export: the archive, or the directory it was unpacked to.
    #[arg(required_unless_present = "leaf", conflicts_with = "leaf")]
    export: Option<PathBuf>,
    /// One leaf, exactly as it was logged.
    #[arg(long, value_name = "FILE", requires = "proof", requires = "key")]
    leaf: Option<PathBuf>,
    /// The leaf's proof (`.tlog-proof`).
    #[arg(long, value_name = "FILE", requires = "leaf")]
    proof: Option<PathBuf>,
    /// A verifier key, or a file of them; repeat for more. Get them elsewhere than from the export.
    #[arg(long, value_name = "KEY|FILE")]
    key: Vec<String>,
    /// Without `--key`, take the keys in the export for the log's own.
    #[arg(long, conflicts_with_all = ["key", "leaf"])]
    trust_own_keys: bool,
    /// A checkpoint seen earlier: the log must be its continuation.
    #[arg(long, value_name = "FILE", conflicts_with = "leaf")]
    known: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    let output = context.output;
    match command {
        Command::Verify(options) => return verified(output, &options),
        Command::List(wanted) => list(context, wanted).await?,
        Command::Show { record } => {
            let record: Record = context.client()?.get(&format!("/api/v1/evidence/{record}")).await?;
            output.result(&record, shown);
        }
        Command::Proof { record, to } => prove(context, record, to.as_deref()).await?,
        Command::Log => {
            let log: LogInfo = context.client()?.get("/api/v1/evidence/log").await?;
            output.result(&log, |log| {
                let mut rows = vec![
                    ("origin", log.origin.clone()),
                    ("size", log.size.to_string()),
                    ("tiles", log.path.clone()),
                ];
                rows.extend(log.keys.iter().map(|key| ("key", key.clone())));
                rows.push(("log of logs", log.meta.origin.clone()));
                rows.extend(log.meta.keys.iter().map(|key| ("its key", key.clone())));
                details(&rows)
            });
        }
        Command::Checkpoint => {
            let client = context.client()?;
            let log: LogInfo = client.get("/api/v1/evidence/log").await?;
            let text = text(&client, &format!("{}/checkpoint", log.path.trim_end_matches('/'))).await?;
            output.result(&json!({ "checkpoint": text }), |_| text.trim_end_matches('\n').to_owned());
        }
        Command::Export(options) => export(context, &options).await?,
        Command::Erase { subject, yes } => erase(context, &subject, yes).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &Context, wanted: Wanted) -> Result<(), Failure> {
    let Wanted { action, outcome, resource, trace, listing } = wanted;
    let mut filter = Vec::new();
    filter.extend(action.map(|action| ("action", action.to_string())));
    filter.extend(outcome.map(|outcome| ("outcome", outcome)));
    filter.extend(resource.map(|resource| ("resource", resource.to_string())));
    filter.extend(trace.map(|trace| ("trace", trace)));
    let page = listing::page::<Record>(&context.client()?, "/api/v1/evidence", &filter, &listing).await?;
    listing::show(context.output, &page, &["INDEX", "AT", "ACTION", "OUTCOME", "ID"], |record| {
        vec![
            record.index.map_or_else(|| "-".to_owned(), |index| index.to_string()),
            when(record.at),
            record.action.clone(),
            record.outcome.clone(),
            record.id.to_string(),
        ]
    });
    Ok(())
}

fn shown(record: &Record) -> String {
    let rows = details(&[
        ("record", record.id.to_string()),
        ("index", record.index.map_or_else(|| "not in the tree yet".to_owned(), |index| index.to_string())),
        ("at", when(record.at)),
        ("action", record.action.clone()),
        ("outcome", record.outcome.clone()),
        ("leaf hash", record.leaf_hash.clone()),
        ("leaf", record.leaf.clone()),
    ]);
    let payload = match (&record.payload, record.erased) {
        (_, true) => "what it said was erased".to_owned(),
        (None, false) => return rows,
        (Some(payload), false) => serde_json::to_string_pretty(payload).unwrap_or_default(),
    };
    format!("{rows}\n\n{}", crate::output::plain(&payload))
}

/// What is written is exactly what `writ evidence verify --leaf` reads.
async fn prove(context: &Context, id: Uuid, to: Option<&Path>) -> Result<(), Failure> {
    let client = context.client()?;
    let proof = text(&client, &format!("/api/v1/evidence/{id}/proof")).await?;
    let Some(directory) = to else {
        context.output.result(&json!({ "proof": proof }), |_| proof.trim_end_matches('\n').to_owned());
        return Ok(());
    };
    let record: Record = client.get(&format!("/api/v1/evidence/{id}")).await?;
    let log: LogInfo = client.get("/api/v1/evidence/log").await?;
    let failed = |error: std::io::Error| {
        Failure::usage(format!("`{}` cannot be written: {error}", directory.display()))
    };
    fs::create_dir_all(directory).map_err(failed)?;
    let place = |end: &str| directory.join(format!("{id}.{end}"));
    let (leaf, path, keys) = (place("leaf"), place("tlog-proof"), directory.join("keys"));
    fs::write(&leaf, &record.leaf).map_err(failed)?;
    fs::write(&path, &proof).map_err(failed)?;
    fs::write(&keys, log.keys.join("\n") + "\n").map_err(failed)?;
    context.output.result(&json!({ "leaf": leaf, "proof": path, "keys": keys }), |_| {
        let (leaf, proof, keys) = (leaf.display(), path.display(), keys.display());
        format!("writ evidence verify --leaf {leaf} --proof {proof} --key {keys}")
    });
    Ok(())
}

/// The file gets its name only when it is complete.
async fn export(context: &Context, options: &Export) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("`{}` cannot be written: {error}", options.to.display()))
    };
    if options.to.exists() {
        return Err(
            Failure::usage(format!("`{}` is there already", options.to.display())).hint("choose a new name")
        );
    }
    let mut range = Vec::new();
    range.extend(options.from.map(|from| ("from", from.to_string())));
    range.extend(options.until.map(|until| ("to", until.to_string())));
    let directory =
        options.to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    context.output.note("exporting");
    let mut download =
        context.client()?.download(&listing::with_query("/api/v1/evidence/export", &range)?).await?;
    let (mut bytes, mut told) = (0_u64, 0_u64);
    while let Some(piece) = download.piece().await? {
        file.write_all(&piece).map_err(failed)?;
        bytes += piece.len() as u64;
        if bytes / (64 << 20) > told {
            told = bytes / (64 << 20);
            context.output.note(format!("{} MiB", bytes >> 20));
        }
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(&options.to).map_err(|error| failed(error.error))?;
    context.output.result(&json!({ "file": options.to, "bytes": bytes }), |_| {
        let file = options.to.display();
        format!(
            "`{file}` holds {bytes} bytes; verify it with `writ evidence verify {file} --key <kept keys>`"
        )
    });
    Ok(())
}

async fn erase(context: &Context, subject: &Principal, yes: bool) -> Result<(), Failure> {
    let client = context.client()?;
    let subject = principal_id(&client, subject).await?;
    let question = format!("What all records of {subject} say of them will be gone for ever.");
    if !yes && !input::confirm(&question, "give --yes")? {
        return Err(Failure::new(1, "not_confirmed", "nothing was erased"));
    }
    let erasure: Erasure = client.post("/api/v1/evidence/erasures", &EraseSubject { subject }).await?;
    context.output.result(&erasure, |erasure| {
        format!(
            "{} keys are destroyed; the leaves of {} say nothing any more",
            erasure.keys, erasure.pseudonym
        )
    });
    Ok(())
}

fn verified(output: Output, options: &Verify) -> Result<ExitCode, Failure> {
    let keys = verify::keys(&options.key)?;
    let verdict = match (&options.leaf, &options.proof, &options.export) {
        (Some(leaf), Some(proof), _) => verify::leaf(leaf, proof, &keys)?,
        (_, _, Some(export)) => verify::log(export, &keys, options.trust_own_keys, options.known.as_deref())?,
        _ => return Err(Failure::usage("nothing says what to verify")),
    };
    output.result(&verdict, verify::Verdict::shown);
    Ok(if verdict.verified { ExitCode::SUCCESS } else { ExitCode::from(4) })
}

/// An answer that is no JSON.
async fn text(client: &Client, path: &str) -> Result<String, Failure> {
    let mut download = client.download(path).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = download.piece().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > 1 << 20 {
            return Err(Failure::new(3, "answer", "the answer is longer than it can be"));
        }
    }
    String::from_utf8(bytes).map_err(|_| Failure::new(3, "answer", "the answer is not text"))
}
