//! What is measured: the requests of each case, and what must be there before.

use serde_json::{Value, json};

/// One request: method, path, body.
pub(crate) type Call = (&'static str, String, Option<Value>);

/// A request whose answer the load needs, and the place in that answer.
pub(crate) type Lesson = (fn() -> Call, &'static [&'static str]);

/// One case: what to prepare once, and the n-th request of the load.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) prepare: fn() -> Vec<Call>,
    pub(crate) learn: Option<Lesson>,
    pub(crate) request: fn(usize, &[String]) -> Call,
    /// Sent without a token.
    pub(crate) anonymous: bool,
}

const PLAIN: Case = Case {
    name: "",
    prepare: Vec::new,
    learn: None,
    request: |_, _| ("GET", "sys/health".to_owned(), None),
    anonymous: false,
};

const SMALL: &str = "c2l4dHktZm91ciBieXRlcyBvZiBwbGFpbnRleHQgZm9yIHRoZSBiZW5jaG1hcmssIG5vIG1vcmUh";

fn kilobyte() -> String {
    data_encoding::BASE64.encode(&[b'x'; 1024])
}

fn put(path: impl Into<String>, body: Value) -> Call {
    ("POST", path.into(), Some(body))
}

fn secret(n: usize) -> Call {
    put(
        format!("kv/data/s{n}"),
        json!({ "data": { "user": "app", "password": "correct horse battery staple" } }),
    )
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let encrypt = |_: usize, _: &[String]| put("transit/encrypt/aes", json!({ "plaintext": SMALL }));
    vec![
        Case { name: "health", anonymous: true, ..PLAIN },
        Case {
            name: "kv read one",
            prepare: || vec![secret(0)],
            request: |_, _| ("GET", "kv/data/s0".to_owned(), None),
            ..PLAIN
        },
        Case {
            name: "kv read of 1000",
            prepare: || (0..1_000).map(secret).collect(),
            request: |n, _| ("GET", format!("kv/data/s{}", n * 7_919 % 1_000), None),
            ..PLAIN
        },
        Case { name: "kv write", request: |n, _| secret(n % 100), ..PLAIN },
        Case { name: "encrypt 64 B", request: encrypt, ..PLAIN },
        Case {
            name: "encrypt 1 KiB",
            request: |_, _| put("transit/encrypt/aes", json!({ "plaintext": kilobyte() })),
            ..PLAIN
        },
        Case {
            name: "decrypt 64 B",
            learn: Some((
                || put("transit/encrypt/aes", json!({ "plaintext": SMALL })),
                &["data", "ciphertext"],
            )),
            request: |_, learnt| put("transit/decrypt/aes", json!({ "ciphertext": learnt[0] })),
            ..PLAIN
        },
        Case {
            name: "encrypt batch 100",
            request: |_, _| {
                let items: Vec<_> = (0..100).map(|_| json!({ "plaintext": SMALL })).collect();
                put("transit/encrypt/aes", json!({ "batch_input": items }))
            },
            ..PLAIN
        },
        Case {
            name: "sign ML-DSA-65",
            request: |_, _| put("transit/sign/pq", json!({ "input": SMALL })),
            ..PLAIN
        },
        Case {
            name: "verify ML-DSA-65",
            learn: Some((|| put("transit/sign/pq", json!({ "input": SMALL })), &["data", "signature"])),
            request: |_, learnt| put("transit/verify/pq", json!({ "input": SMALL, "signature": learnt[0] })),
            ..PLAIN
        },
        Case {
            name: "token lookup-self",
            request: |_, _| ("GET", "auth/token/lookup-self".to_owned(), None),
            ..PLAIN
        },
        Case {
            name: "approle login",
            request: |_, learnt| {
                put("auth/approle/login", json!({ "role_id": learnt[0], "secret_id": learnt[1] }))
            },
            anonymous: true,
            ..PLAIN
        },
    ]
}

/// What both have before any case: engines, keys, a policy, a role.
pub(crate) fn house() -> Vec<Call> {
    let policy = r#"
        path "kv/*" { capabilities = ["create", "read", "update", "list"] }
        path "transit/*" { capabilities = ["create", "read", "update"] }"#;
    vec![
        put("sys/mounts/kv", json!({ "type": "kv", "options": { "version": "2" } })),
        put("sys/mounts/transit", json!({ "type": "transit" })),
        put("sys/auth/approle", json!({ "type": "approle" })),
        put("sys/policies/acl/app", json!({ "policy": policy })),
        put("transit/keys/aes", json!({ "type": "aes256-gcm96" })),
        put("transit/keys/pq", json!({ "type": "mldsa-65" })),
        put("auth/approle/role/app", json!({ "token_policies": "app", "token_ttl": "1h" })),
    ]
}
