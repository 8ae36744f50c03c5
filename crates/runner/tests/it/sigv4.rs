//! Signature Version 4 against AWS's own test suite; see `vectors/sigv4/README.md`.

use std::{fs, path::Path};

use serde::Deserialize;
use writ_crypto::SecretString;
use writ_crypto::hash::{hex, sha256};
use writ_kernel::Timestamp;
use writ_runner::aws::{
    Identity,
    sigv4::{Request, Scope, sign},
};

#[derive(Deserialize)]
struct Context {
    credentials: Signer,
    region: String,
    service: String,
    sign_body: bool,
    timestamp: Timestamp,
}

#[derive(Deserialize)]
struct Signer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

#[test]
fn every_published_vector_is_signed_as_published() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/vectors/sigv4");
    let mut checked = 0;
    for vector in
        fs::read_dir(vectors).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        check(&vector);
        checked += 1;
    }
    assert_eq!(checked, 18);
}

fn check(vector: &Path) {
    let read = |name: &str| fs::read_to_string(vector.join(name)).unwrap();
    let context: Context = serde_json::from_str(&read("context.json")).unwrap();
    let text = read("request.txt");
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.lines();
    let (method, target) = lines.next().unwrap().trim_end_matches(" HTTP/1.1").split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let query: Vec<(&str, &str)> =
        query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut headers: Vec<(&str, &str)> = lines.map(|line| line.split_once(':').unwrap()).collect();
    let digest = hex(&sha256(body.as_bytes()));
    if context.sign_body {
        headers.push(("x-amz-content-sha256", &digest));
    }
    let identity = Identity {
        access_key_id: SecretString::new(context.credentials.access_key_id),
        secret_access_key: SecretString::new(context.credentials.secret_access_key),
        session_token: context.credentials.token.map(SecretString::new),
    };
    let scope = Scope { region: &context.region, service: &context.service, time: context.timestamp };
    let request = Request { method, path, query: &query, headers: &headers, body: body.as_bytes() };
    let added = sign(&request, &identity, &scope);

    let authorization = &added.iter().find(|(name, _)| *name == "authorization").unwrap().1;
    let published = read("header-signed-request.txt");
    let published = published.lines().find_map(|line| line.strip_prefix("Authorization:")).unwrap();
    assert_eq!(authorization, published, "{}", vector.display());
}
