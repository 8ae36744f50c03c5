//! What is done with a named key: bytes in, bytes out.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::PathBuf,
};

use clap::Args as Group;
use data_encoding::BASE64;
use serde_json::json;
use writ_wire::encryption::{
    TransitCiphertext, TransitEncrypt, TransitPlaintext, TransitSigned, TransitVerified,
};

use crate::{
    commands::{Context, vault::Where},
    output::{Failure, print},
};

/// The most that is encrypted or signed at once, in bytes.
const MOST: u64 = 512 * 1024;

/// With which key, and what.
#[derive(Debug, Group)]
pub(crate) struct With {
    #[command(flatten)]
    place: Where,
    /// The name of the key.
    #[arg(long, short)]
    key: String,
    /// Where to read; standard input unless told.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Encrypt a file or standard input.
#[derive(Debug, Group)]
pub(crate) struct Encrypt {
    #[command(flatten)]
    with: With,
    /// What the ciphertext belongs to, as text: needed again to decrypt.
    #[arg(long, value_name = "TEXT")]
    aad: Option<String>,
}

/// Verify a signature.
#[derive(Debug, Group)]
pub(crate) struct Verify {
    #[command(flatten)]
    with: With,
    /// The signature, as it was printed.
    #[arg(long)]
    signature: String,
}

/// Prints the ciphertext, `vault:v<version>:<base64>`.
pub(crate) async fn encrypt(context: &Context, options: Encrypt) -> Result<(), Failure> {
    let plaintext = read(&options.with)?;
    let wanted = TransitEncrypt {
        plaintext: BASE64.encode(&plaintext),
        encoding: None,
        context: None,
        associated_data: options.aad.map(|text| BASE64.encode(text.as_bytes())),
        key_version: None,
    };
    let made: TransitCiphertext = context.client()?.post(&options.with.path("encrypt")?, &wanted).await?;
    context.output.result(&made, |made| made.ciphertext.clone());
    Ok(())
}

/// Writes the plaintext, byte for byte.
pub(crate) async fn decrypt(context: &Context, options: Encrypt) -> Result<(), Failure> {
    let ciphertext = text(read(&options.with)?)?;
    let aad = options.aad.map(|text| BASE64.encode(text.as_bytes()));
    let wanted = json!({ "ciphertext": ciphertext.trim(), "associatedData": aad });
    let opened: TransitPlaintext = context.client()?.post(&options.with.path("decrypt")?, &wanted).await?;
    if context.output.is_json() {
        context.output.result(&opened, |_| String::new());
        return Ok(());
    }
    let plaintext = BASE64
        .decode(opened.plaintext.as_bytes())
        .map_err(|error| Failure::internal("the answer cannot be read", &error))?;
    let written = io::stdout().write_all(&plaintext);
    written.map_err(|error| Failure::internal("the plaintext cannot be written", &error))
}

/// Prints the signature, `vault:v<version>:<base64>`.
pub(crate) async fn sign(context: &Context, with: With) -> Result<(), Failure> {
    let wanted = json!({ "data": BASE64.encode(&read(&with)?) });
    let signed: TransitSigned = context.client()?.post(&with.path("sign")?, &wanted).await?;
    context.output.result(&signed, |signed| signed.signature.clone());
    Ok(())
}

/// Exits with 1 when the signature is not right.
pub(crate) async fn verify(context: &Context, options: Verify) -> Result<(), Failure> {
    let data = BASE64.encode(&read(&options.with)?);
    let wanted = json!({ "data": data, "signature": options.signature.trim() });
    let verified: TransitVerified = context.client()?.post(&options.with.path("verify")?, &wanted).await?;
    if !verified.valid {
        return Err(Failure::new(1, "signature_invalid", "the signature is not of this key and these bytes"));
    }
    if context.output.is_json() {
        context.output.result(&verified, |_| String::new());
    } else {
        print("the signature is right");
    }
    Ok(())
}

impl With {
    fn path(&self, verb: &str) -> Result<String, Failure> {
        if !self.key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return Err(Failure::usage("the name of a key is letters, digits, `_`, `-` and `.`"));
        }
        crate::listing::with_query(&format!("/api/v1/transit/{verb}/{}", self.key), &self.place.query())
    }
}

fn read(with: &With) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match &with.file {
        None => io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes),
        Some(path) => fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| Failure::usage(format!("the input cannot be read: {error}")))?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::usage("the input is longer than 512 KiB")
            .hint("encrypt large files with a data key: see `POST /api/v1/keys/{id}/generate-data-key`"));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| Failure::usage("a ciphertext is text"))
}
