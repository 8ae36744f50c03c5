//! The seal of the server.

use std::{io::IsTerminal as _, process::ExitCode};

use clap::{Args as Group, ValueEnum};
use serde::Serialize;
use writ_client::Client;
use writ_kernel::Name;
use writ_wire::sys::{InitRequest, InitResponse, Protection, RekeyRequest, SealStatus, UnsealRequest};

use crate::{
    args::parsed,
    commands::Context,
    connect::Profile,
    input,
    output::{Failure, Output, details},
};

/// How the root key is to be protected.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// A key file beside the data: for development only.
    DevFile,
    /// A passphrase, which is typed or comes in on standard input.
    Passphrase,
    /// Shares, of which some are needed.
    Shamir,
    /// A key of the hardware security module that the server is configured with.
    Pkcs11,
}

/// How the root key is to be protected.
#[derive(Debug, Group)]
pub(crate) struct Protecting {
    /// How the root key is to be protected.
    #[arg(long, value_enum)]
    protection: Kind,
    /// Shamir: how many shares are needed, 2 to the number of shares.
    #[arg(long, value_name = "N", required_if_eq("protection", "shamir"))]
    threshold: Option<u8>,
    /// Shamir: how many shares there are, 2 to 16.
    #[arg(long, value_name = "N", required_if_eq("protection", "shamir"))]
    shares: Option<u8>,
}

/// Initialise a new server.
#[derive(Debug, Group)]
pub(crate) struct Init {
    #[command(flatten)]
    protecting: Protecting,
    /// The name of the first administrator.
    #[arg(long, value_name = "NAME", value_parser = parsed::<Name>)]
    admin: Name,
}

/// Protect the same root key in another way.
#[derive(Debug, Group)]
pub(crate) struct Rekey {
    #[command(flatten)]
    protecting: Protecting,
}

/// Open a sealed server.
#[derive(Debug, Group)]
pub(crate) struct Unseal {
    /// Forget the shares given so far.
    #[arg(long)]
    reset: bool,
}

impl Protecting {
    fn chosen(&self) -> Result<Protection, Failure> {
        let shares = self.threshold.is_some() || self.shares.is_some();
        match self.protection {
            Kind::DevFile | Kind::Passphrase | Kind::Pkcs11 if shares => {
                Err(Failure::usage("only Shamir's protection has --threshold and --shares"))
            }
            Kind::DevFile => Ok(Protection::DevFile),
            Kind::Pkcs11 => Ok(Protection::Pkcs11),
            Kind::Passphrase => {
                let passphrase = input::new_secret("passphrase")?;
                Ok(Protection::Passphrase { passphrase })
            }
            Kind::Shamir => {
                let (threshold, shares) = (self.threshold.unwrap_or(0), self.shares.unwrap_or(0));
                if !(2..=16).contains(&shares) || !(2..=shares).contains(&threshold) {
                    return Err(Failure::usage(
                        "shares are 2 to 16, and the threshold is 2 to the number of shares",
                    ));
                }
                Ok(Protection::Shamir { threshold, shares })
            }
        }
    }
}

pub(crate) async fn init(context: &Context, options: Init) -> Result<(), Failure> {
    let client = context.client()?;
    let protection = options.protecting.chosen()?;
    let request = InitRequest { protection, admin: options.admin.to_string() };
    let made: InitResponse = client.post("/api/v1/sys/init", &request).await?;
    show(context.output, &made);
    context.output.note("sign in with the last of these, the enrolment token: `writ login`");
    Ok(())
}

pub(crate) async fn rekey(context: &Context, options: Rekey) -> Result<(), Failure> {
    let client = context.client()?;
    let request = RekeyRequest { protection: options.protecting.chosen()? };
    let made: InitResponse = client.post("/api/v1/sys/rekey", &request).await?;
    if made.shares.is_empty() && !context.output.is_json() {
        context.output.note("the root key is protected anew");
    } else {
        show(context.output, &made);
    }
    Ok(())
}

/// What is shown once goes to standard output alone, one a line: shares in their order, then the enrolment token.
fn show(output: Output, made: &InitResponse) {
    output.note("what follows is shown this once, and is kept nowhere:");
    output.result(made, |made| {
        made.shares.iter().chain(&made.enrolment_token).cloned().collect::<Vec<_>>().join("\n")
    });
}

pub(crate) async fn unseal(context: &Context, options: Unseal) -> Result<(), Failure> {
    let client = context.client()?;
    if options.reset {
        let request = UnsealRequest { key: None, reset: true };
        let status: SealStatus = client.post("/api/v1/sys/unseal", &request).await?;
        context.output.result(&status, |_| "the shares given so far are forgotten".to_owned());
        return Ok(());
    }
    let status: SealStatus = client.get("/api/v1/sys/seal-status").await?;
    if !status.initialized {
        let failure = Failure::new(1, "uninitialized", "the server is not initialised");
        return Err(failure.hint("initialise it with `writ init`"));
    }
    let status = if status.sealed { give(&client, "/api/v1/sys/unseal", status).await? } else { status };
    context.output.result(&status, unsealed);
    Ok(())
}

pub(crate) async fn rotate_root(context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let status: SealStatus = client.get("/api/v1/sys/seal-status").await?;
    let status = give(&client, "/api/v1/sys/rotate", status).await?;
    context.output.result(&status, |status| match status.progress {
        Some(given) if given > 0 => unsealed(status),
        _ => "the root key is replaced".to_owned(),
    });
    Ok(())
}

/// Gives the server the key it waits for: nothing, the passphrase, or shares. On a terminal one share is asked for,
/// since its holders come one by one; standard input may hold as many as are needed.
async fn give(client: &Client, path: &str, status: SealStatus) -> Result<SealStatus, Failure> {
    let what = match status.provider.as_deref() {
        Some("passphrase") => Some("passphrase"),
        Some("shamir") => Some("share"),
        _ => None,
    };
    let missing = status.threshold.unwrap_or(1).saturating_sub(status.progress.unwrap_or(0));
    let mut key = what.map(input::secret).transpose()?;
    let mut given = 0;
    loop {
        let status: SealStatus = client.post(path, &UnsealRequest { key, reset: false }).await?;
        given += 1;
        if given >= missing || std::io::stdin().is_terminal() {
            return Ok(status);
        }
        key = input::line_of_secret("share")?;
        if key.is_none() {
            return Ok(status);
        }
    }
}

fn unsealed(status: &SealStatus) -> String {
    match (status.sealed, status.progress, status.threshold) {
        (false, None | Some(0), _) => "the server is unsealed".to_owned(),
        (_, Some(given), Some(needed)) => format!("{given} of {needed} shares are given"),
        _ => "the server is sealed".to_owned(),
    }
}

pub(crate) async fn seal(context: &Context) -> Result<(), Failure> {
    let status: SealStatus = context.client()?.post("/api/v1/sys/seal", &()).await?;
    context.output.result(&status, |_| "the server is sealed".to_owned());
    Ok(())
}

/// What `writ status` says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    server: String,
    signed_in: bool,
    #[serde(flatten)]
    seal: SealStatus,
}

/// Fails while the server does not hold its keys, so that a script can wait for it.
pub(crate) async fn status(context: &Context) -> Result<ExitCode, Failure> {
    let profile = Profile::load()?;
    let kept = profile.as_ref().map(|profile| profile.server.clone());
    let server = context.connection.server.clone().or_else(|| kept.clone()).unwrap_or_default();
    let signed_in = context.connection.token.is_some() || kept.is_some_and(|kept| kept == server);
    let seal: SealStatus = context.client()?.get("/api/v1/sys/seal-status").await?;
    let status = Status { server, signed_in, seal };
    context.output.result(&status, |status| {
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let shares = status
            .seal
            .threshold
            .map(|needed| ("shares", format!("{} of {needed} given", status.seal.progress.unwrap_or(0))));
        let mut rows = vec![
            ("server", status.server.clone()),
            ("version", status.seal.version.clone()),
            ("initialised", yes(status.seal.initialized)),
            ("sealed", yes(status.seal.sealed)),
            ("protection", status.seal.provider.clone().unwrap_or_else(|| "-".to_owned())),
        ];
        rows.extend(shares);
        rows.push(("signed in", yes(status.signed_in)));
        details(&rows)
    });
    let is_open = status.seal.initialized && !status.seal.sealed;
    Ok(if is_open { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
