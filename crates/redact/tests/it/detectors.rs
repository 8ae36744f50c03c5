//! What is detected without knowing it.

use crate::{RULES, redacted};
use writ_redact::{Values, scan};

/// The text with `·secret·` marked by dots, and the kind it is redacted as.
const SECRETS: &[(&str, &str)] = &[
    (
        "azure-account-key",
        "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=·Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9v==·;EndpointSuffix=core.windows.net",
    ),
    (
        "azure-account-key",
        "Endpoint=sb://bus.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=·c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=·",
    ),
    (
        "azure-sas",
        "BlobEndpoint=https://acct.blob.core.windows.net;SharedAccessSignature=·sv=2024-11-04&ss=b&sig=abcdefghijklmnop%3D·",
    ),
    (
        "azure-sas",
        "https://acct.blob.core.windows.net/state?sv=2024-11-04&sig=·aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ%3D·&se=2026-11-22",
    ),
    (
        "azure-sas",
        r"https://acct.blob.core.windows.net/state?sv=2024-11-04\u0026sig=·aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ%3D·\u0026se=1",
    ),
    ("aws-access-key-id", "using ·AKIAIOSFODNN7EXAMPLE· for it"),
    ("aws-access-key-id", "aws_access_key_id = ·ASIAIOSFODNN7EXAMPLE·"),
    ("aws-secret-key", "AWS_SECRET_ACCESS_KEY=·wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY·"),
    ("aws-session-token", "AWS_SESSION_TOKEN=·IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQ==·"),
    ("gcp-token", "access ·ya29.a0AfH6SMBx-1234567890_abcdefghij·"),
    ("gcp-api-key", "https://maps.example.org/?key2=·AIzaSyA1234567890abcdefghijklmnopqrstuv·"),
    ("assignment", r#"  key = "·f3a9c2e17b5d4860·""#),
    ("assignment", r#"  key = "·supersecretkeyvalue·""#),
    ("assignment", r#"      + password             = "·hunter2·""#),
    ("assignment", r#"{"name":"x","db_password":"·hunter2·","port":5432}"#),
    ("assignment", r#"{"msg":"{\"clientSecret\":\"·hunt\\\"er2·\",\"a\":1}"}"#),
    ("assignment", "  password: ·hunter2·\n"),
    ("assignment", "db_password: '·hunter two·'\n"),
    ("assignment", "export DB_PASSWORD=·p,a&s;s·\n"),
    ("assignment", "mysql --password ·hunter2· --host db"),
    ("assignment", "mysql --password=·hunter2· --host db"),
    ("assignment", r#"Executing: ["tool" "--token" "·abcdef123·" "run"]"#),
    ("assignment", "https://example.org/cb?token=·abcdef123·&state=5"),
    ("assignment", "Server=db;User Id=sa;Password=·hunter2·;Encrypt=true"),
    ("assignment", "QiskitRuntimeService(channel='x', token='·0123456789abcdef·')"),
    ("assignment", "api_key => '·abcdef123·'"),
    ("assignment", "config['secret'] = '·abcdef123·'"),
    ("azure-client-secret", "ARM_CLIENT_SECRET=·a1B~c2D3-e4F5·\n"),
    ("ibm-quantum-token", "QISKIT_IBM_TOKEN=·0123456789abcdefghijABCDEFGHIJ0123456789abcd·"),
    ("ionq-token", "IONQ_API_KEY=·0123456789abcdef0123456789abcdef·"),
    ("dwave-token", "client = Client(·DEV-0123456789abcdef0123456789abcdef01234567·)"),
    ("qbraid-token", "·qbr_0123456789abcdef0123·"),
    ("nexus-token", "Cookie: myqos_oat=·abcdef.0123456·; x=1"),
    ("jwt", "got ·eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl· back"),
    ("github-token", "·ghp_0123456789abcdefghijABCDEFGHIJ012345·"),
    ("github-token", "·github_pat_11ABCDEFG0123456789_abcdefghijklmnop·"),
    ("gitlab-token", "·glpat-0123456789abcdefghij·"),
    ("slack-token", "·xoxb-1234567890-abcdefghij·"),
    ("npm-token", "//registry.npmjs.org/:x=·npm_0123456789abcdefghijABCDEFGHIJ012345·"),
    ("writ-token", "x ·writ_key_abcdefghijklmnopqrstuvwxyz234567abcdefgh_abcdef· y"),
    ("writ-token", "x ·writ_run_eyJ2IjoxLCJydW4iOiIwMTkwIn0.c2lnbmF0dXJlLW9mLXRoZS1jbGFpbXM· y"),
    ("url-password", "postgres://app:·hunter2·@db.internal:5432/app"),
    ("url-password", "redis://:·hunter2·@cache:6379"),
    ("authorization", "Authorization: Basic ·dXNlcjpwYXNz·\r\n"),
    ("authorization", "authorization: apiKey ·abcdef0123456789·\n"),
    ("bearer-token", "curl -H 'x: Bearer ·abcdef0123456789abcdef·'"),
    ("assignment", "x-auth-token: ·abcdef0123456789·\n"),
    (
        "private-key",
        "·-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq83vEjRWeJA=\n-----END PRIVATE KEY-----·\nnext",
    ),
    (
        "private-key",
        "·-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n-----END OPENSSH PRIVATE KEY-----·\nnext",
    ),
    (
        "private-key",
        r"key:·-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----·\n",
    ),
    ("private-key", "data: ·LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1JSUV2UUlCQURBTkJna3Foa2lHOXcw· end"),
    ("assignment", "  secret_value = ·<<-EOT\n    line one\n    line two\n  EOT·\nnext = 1"),
    ("assignment", "password: ·|\n  line one\n\n  line two·\nnext: 1"),
];

#[test]
fn secrets_are_replaced_by_their_kind_and_nothing_else_is() {
    for (kind, marked) in SECRETS {
        let text = marked.replace('·', "");
        let expected = marked.split('·').enumerate();
        let label = format!("[REDACTED:{kind}]");
        let expected: String =
            expected.map(|(part, text)| if part % 2 == 1 { label.as_str() } else { text }).collect();
        assert_eq!(redacted(&Values::new(), text.as_bytes()), expected, "in {text}");
    }
}

#[test]
fn a_secret_key_close_after_a_key_id_is_found_though_nothing_names_it() {
    let text = "| AKIAIOSFODNN7EXAMPLE | wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY |";
    let expected = "| [REDACTED:aws-access-key-id] | [REDACTED:aws-secret-key] |";
    assert_eq!(redacted(&Values::new(), text.as_bytes()), expected);
}

#[test]
fn both_sides_of_a_changed_secret_are_replaced() {
    let text = r#"  ~ password = "hunter1" -> "hunter2""#;
    assert_eq!(
        redacted(&Values::new(), text.as_bytes()),
        r#"  ~ password = "[REDACTED:assignment]" -> "[REDACTED:assignment]""#
    );
}

#[test]
fn a_private_key_block_that_never_ends_stays_hidden_as_long_as_it_looks_like_one() {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n".repeat(2000);
    let text = format!("-----BEGIN PRIVATE KEY-----\n{body}{}the end\n", "plain words\n".repeat(20));
    let redacted = redacted(&Values::new(), text.as_bytes());
    assert!(redacted.starts_with("[REDACTED:private-key]\n"), "{redacted}");
    assert!(!redacted.contains("MIIE"));
    assert!(redacted.ends_with("plain words\nthe end\n"));
}

#[test]
fn roles_and_users_of_aws_are_names() {
    let text = "AROAIOSFODNN7EXAMPLE AIDAIOSFODNN7EXAMPLE";
    assert_eq!(redacted(&Values::new(), text.as_bytes()), text);
}

#[test]
fn scanning_says_where_secrets_are() {
    let text = "a ghp_0123456789abcdefghijABCDEFGHIJ012345 b password=hunter2";
    let found: Vec<_> = scan::find(&RULES, text.as_bytes())
        .into_iter()
        .map(|found| (found.kind, text.get(found.range).unwrap_or_default().to_owned()))
        .collect();
    let expected = [("github-token", "ghp_0123456789abcdefghijABCDEFGHIJ012345"), ("assignment", "hunter2")];
    assert_eq!(found, expected.map(|(kind, text)| (kind.to_owned(), text.to_owned())));
}
