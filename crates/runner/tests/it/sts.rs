//! The security token service: what is asked, and what comes of each answer.

use std::time::Duration;

use writ_crypto::SecretString;
use writ_kernel::{Error, Kind};
use writ_runner::aws::{
    Credentials, Http, IdentitySource, Limits, Patience, SessionDuration, Sts,
    session_policy::{self, Change},
};
use writ_wire::connections::StateBackend;

use crate::{
    borrowing::{Held, NOON, assume, identity, sts, sts_within, world},
    fake_sts::{self, EXTERNAL_ID, FakeSts, Mood},
};

async fn ask(mood: Mood) -> (FakeSts, Result<Credentials, Error>) {
    let fake = FakeSts::start(mood).await;
    let sts = sts(world(&Held::at(NOON)), &fake.url);
    let answer = sts.assume_role(&identity(), &assume(EXTERNAL_ID)).await;
    (fake, answer)
}

async fn refused(mood: Mood) -> Error {
    ask(mood).await.1.err().unwrap()
}

fn refusing(status: u16, code: &'static str) -> Mood {
    Mood::Refusing(status, code, "no".into())
}

#[tokio::test]
async fn a_role_is_assumed_with_everything_its_trail_needs() {
    let (fake, answer) = ask(Mood::Proper).await;
    let credentials = answer.unwrap();
    assert_eq!(credentials.access_key_id.expose(), "ASIAFAKEAssumeRole");
    assert_eq!(credentials.secret_access_key.expose(), "fake/secret+AssumeRole");
    assert_eq!(credentials.session_token.expose(), "fake//token==AssumeRole");
    assert_eq!(credentials.expiration.to_string(), fake_sts::EXPIRATION);

    let asked = fake.requests().remove(0);
    for (name, value) in [
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", "arn:aws:iam::123456789012:role/deploy"),
        ("RoleSessionName", "writ-run-0192"),
        ("DurationSeconds", "1800"),
        ("ExternalId", EXTERNAL_ID),
        ("Tags.member.1.Key", "writ:tenant"),
        ("Tags.member.1.Value", "acme"),
        ("Tags.member.2.Key", "writ:deployment"),
        ("Tags.member.2.Value", "0192-web"),
    ] {
        assert_eq!(asked.fields.get(name).map(String::as_str), Some(value), "{name}");
    }
    let authorization = asked.authorization.unwrap();
    assert!(authorization.contains("Credential=AKIDEXAMPLE/20261122/eu-central-1/sts/aws4_request"));
    assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-date"));
}

#[tokio::test]
async fn a_session_policy_and_a_source_identity_go_along() {
    let fake = FakeSts::start(Mood::Proper).await;
    let state = StateBackend::S3 {
        bucket: "state".into(),
        region: "eu-central-1".into(),
        prefix: "p/".into(),
        lock_table: None,
    };
    let mut request = assume(EXTERNAL_ID);
    request.policy = session_policy::for_plan("aws", &state);
    request.source_identity = Some("alice@example.com".parse().unwrap());
    sts(world(&Held::at(NOON)), &fake.url).assume_role(&identity(), &request).await.unwrap();

    let fields = fake.requests().remove(0).fields;
    assert_eq!(fields["SourceIdentity"], "alice@example.com");
    assert_eq!(fields["PolicyArns.member.1.arn"], "arn:aws:iam::aws:policy/ReadOnlyAccess");
    let policy: serde_json::Value = serde_json::from_str(&fields["Policy"]).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
}

#[tokio::test]
async fn a_session_signs_with_its_token() {
    let fake = FakeSts::start(Mood::Proper).await;
    let mut identity = identity();
    identity.session_token = Some(SecretString::new("session//token==".into()));
    sts(world(&Held::at(NOON)), &fake.url).assume_role(&identity, &assume(EXTERNAL_ID)).await.unwrap();
    assert!(fake.requests()[0].authorization.as_ref().unwrap().contains("x-amz-security-token"));
}

#[tokio::test]
async fn a_web_identity_is_read_anew_each_time_and_needs_no_signature() {
    let fake = FakeSts::start(Mood::Proper).await;
    let sts = sts(world(&Held::at(NOON)), &fake.url);
    let directory = tempfile::tempdir().unwrap();
    let token_file = directory.path().join("token");
    let source = IdentitySource::WebIdentity {
        token_file: token_file.clone(),
        role_arn: "arn:aws:iam::111122223333:role/runner".into(),
    };
    let none = |_: &str| None;
    let session = "writ-run".parse().unwrap();
    // An hour is more than the fake's role gives.
    std::fs::write(&token_file, "first\n").unwrap();
    let error = source.prove(&sts, &session, &none).await.err().unwrap();
    assert_eq!(error.code(), "sts_validation");
    std::fs::write(&token_file, "second\n").unwrap();
    source.prove(&sts, &session, &none).await.err().unwrap();

    let asked = fake.requests();
    let tokens: Vec<&str> = asked.iter().map(|asked| asked.fields["WebIdentityToken"].as_str()).collect();
    assert_eq!(tokens, ["first", "second"]);
    assert!(asked.iter().all(|asked| asked.authorization.is_none()));

    let duration = SessionDuration::from_seconds(900).unwrap();
    let role = "arn:aws:iam::111122223333:role/runner".parse().unwrap();
    let token = SecretString::new("second".into());
    let credentials = sts.assume_role_with_web_identity(&role, &session, duration, &token).await;
    // The fake's lease lasts half an hour, more than the quarter asked for and the allowance for clocks.
    assert_eq!(credentials.err().unwrap().code(), "wrong_lease");
}

#[tokio::test]
async fn an_expired_web_identity_is_named() {
    let fake = FakeSts::start(Mood::Proper).await;
    let role = "arn:aws:iam::111122223333:role/runner".parse().unwrap();
    let token = SecretString::new("expired".into());
    let duration = SessionDuration::from_seconds(900).unwrap();
    let answer = sts(world(&Held::at(NOON)), &fake.url)
        .assume_role_with_web_identity(&role, &"writ-run".parse().unwrap(), duration, &token)
        .await;
    assert_eq!(answer.err().unwrap().code(), "sts_expired_token");
}

#[tokio::test]
async fn a_wrong_external_id_is_access_denied_and_says_what_to_check() {
    let fake = FakeSts::start(Mood::Proper).await;
    let answer =
        sts(world(&Held::at(NOON)), &fake.url).assume_role(&identity(), &assume("somebody-elses")).await;
    let error = answer.err().unwrap();
    assert_eq!((error.kind(), error.code()), (Kind::Forbidden, "sts_access_denied"));
    assert!(error.advice().unwrap().contains("external id"));
    assert!(!format!("{error:?}").contains("somebody-elses"));
    assert_eq!(fake.requests().len(), 1, "a refusal is not tried again");
}

#[tokio::test]
async fn a_lifetime_beyond_the_roles_own_is_refused() {
    let fake = FakeSts::start(Mood::Proper).await;
    let mut request = assume(EXTERNAL_ID);
    request.duration = SessionDuration::HOUR;
    let answer = sts(world(&Held::at(NOON)), &fake.url).assume_role(&identity(), &request).await;
    assert_eq!(answer.err().unwrap().code(), "sts_validation");
}

#[tokio::test]
async fn each_refusal_has_its_own_code() {
    for (status, code, ours) in [
        (403, "AccessDenied", "sts_access_denied"),
        (403, "ExpiredToken", "sts_expired_token"),
        (400, "InvalidIdentityToken", "sts_invalid_token"),
        (403, "InvalidClientTokenId", "sts_invalid_token"),
        (403, "SignatureDoesNotMatch", "sts_invalid_signature"),
        (400, "ValidationError", "sts_validation"),
        (400, "PackedPolicyTooLarge", "sts_policy_too_large"),
        (400, "MalformedPolicyDocument", "sts_malformed_policy"),
        (403, "RegionDisabledException", "sts_region_disabled"),
        (400, "SomethingNew", "sts_refused"),
    ] {
        assert_eq!(refused(refusing(status, code)).await.code(), ours, "{code}");
    }
}

#[tokio::test]
async fn a_busy_service_is_asked_again() {
    let (fake, answer) = ask(Mood::Busy(2)).await;
    assert!(answer.is_ok());
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn a_service_that_stays_busy_is_given_up() {
    let (fake, answer) = ask(Mood::Busy(u32::MAX)).await;
    let error = answer.err().unwrap();
    assert_eq!((error.kind(), error.code()), (Kind::Exhausted, "sts_throttled"));
    assert!(error.retry_after().is_some());
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn a_service_in_trouble_is_asked_again() {
    let (fake, answer) = ask(refusing(503, "ServiceUnavailable")).await;
    assert_eq!(answer.err().unwrap().code(), "sts_unavailable");
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = FakeSts::start(Mood::Proper).await;
    let error = refused(Mood::Redirecting(elsewhere.url.clone())).await;
    assert_eq!(error.code(), "redirected");
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_slow_service_times_out() {
    let fake = FakeSts::start(Mood::Slow(Duration::from_mins(1))).await;
    let limits = Limits { total: Duration::from_millis(100), ..Limits::default() };
    let answer = sts_within(world(&Held::at(NOON)), &fake.url, limits)
        .assume_role(&identity(), &assume(EXTERNAL_ID))
        .await;
    assert_eq!(answer.err().unwrap().kind(), Kind::Timeout);
}

#[tokio::test]
async fn an_oversized_answer_is_cut_off() {
    assert_eq!(refused(Mood::Saying("x".repeat(1 << 20))).await.code(), "oversized_answer");
}

#[tokio::test]
async fn an_answer_that_is_none_is_refused() {
    let deep = format!("{}{}", "<a>".repeat(2000), "</a>".repeat(2000));
    let bomb = r#"<!DOCTYPE a [<!ENTITY b "xxxxxxxx"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>"#;
    for body in ["", "{}", "<Credentials/>", "<a><b></a>", &deep, bomb] {
        assert_eq!(refused(Mood::Saying(body.to_owned())).await.code(), "malformed_answer", "{body:.40}");
    }
}

#[tokio::test]
async fn a_message_that_echoes_what_was_sent_is_not_kept() {
    let message = format!("you sent {EXTERNAL_ID}");
    let error = refused(Mood::Refusing(403, "AccessDenied", message)).await;
    assert!(!format!("{error:?} {error}").contains(EXTERNAL_ID));
}

#[tokio::test]
async fn a_lease_that_is_over_is_refused() {
    let fake = FakeSts::start(Mood::Proper).await;
    let answer = sts(world(&Held::at("2026-11-22T12:30:00Z")), &fake.url)
        .assume_role(&identity(), &assume(EXTERNAL_ID))
        .await;
    assert_eq!(answer.err().unwrap().code(), "wrong_lease");
}

#[test]
fn an_endpoint_is_https_or_this_very_machine() {
    let at = |url: &str| {
        let http = Http::new(Limits::default()).unwrap();
        let region = "eu-central-1".parse().unwrap();
        Sts::new(world(&Held::at(NOON)), http, region, Some(url), Patience::default())
            .err()
            .map(|error| error.code())
    };
    for good in ["https://sts.eu-central-1.amazonaws.com/", "http://127.0.0.1:4566/", "http://[::1]:4566/"] {
        assert_eq!(at(good), None, "{good}");
    }
    for bad in [
        "http://sts.eu-central-1.amazonaws.com/",
        "http://127.0.0.1.example.com/",
        "http://169.254.169.254/",
        "ftp://127.0.0.1/",
        "https://user:pass@sts.example.com/",
        "https://sts.example.com/?x=1",
        "sts.example.com",
    ] {
        assert!(at(bad).is_some(), "{bad}");
    }
}

#[tokio::test]
async fn a_pod_identity_is_asked_only_at_addresses_that_can_be_trusted() {
    let sts = sts(world(&Held::at(NOON)), "http://127.0.0.1:9/");
    let token_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token_file.path(), "token").unwrap();
    let prove = |endpoint: &'static str| {
        let source =
            IdentitySource::PodIdentity { endpoint: endpoint.into(), token_file: token_file.path().into() };
        let sts = sts.clone();
        async move { source.prove(&sts, &"writ-run".parse().unwrap(), &|_| None).await.err().unwrap() }
    };
    for bad in ["http://169.254.169.254/", "http://10.0.0.1/v1/credentials", "http://169.254.170.2/"] {
        assert_eq!(prove(bad).await.code(), "untrusted_address", "{bad}");
    }
    assert_eq!(prove("http://127.0.0.1:9/v1/credentials").await.code(), "unreachable");
}

#[tokio::test]
async fn the_development_identity_reads_only_the_environment_it_is_given() {
    let sts = sts(world(&Held::at(NOON)), "http://127.0.0.1:9/");
    let source = IdentitySource::DevelopmentEnvironment {};
    let session = "writ-run".parse().unwrap();
    let some = |name: &str| (name != "AWS_SESSION_TOKEN").then(|| format!("the {name}"));
    let identity = source.prove(&sts, &session, &some).await.unwrap();
    assert_eq!(identity.access_key_id.expose(), "the AWS_ACCESS_KEY_ID");
    assert!(identity.session_token.is_none());
    assert_eq!(source.prove(&sts, &session, &|_| None).await.err().unwrap().code(), "no_identity");
}

#[test]
fn an_identity_source_is_named_in_configuration_and_nothing_else_is_accepted() {
    let parse = serde_json::from_str::<IdentitySource>;
    assert!(parse(r#"{"source": "web-identity", "tokenFile": "/t", "roleArn": "r"}"#).is_ok());
    assert!(parse(r#"{"source": "development-environment"}"#).is_ok());
    assert!(parse(r#"{"source": "default-chain"}"#).is_err());
    assert!(parse(r#"{"source": "development-environment", "accessKey": "x"}"#).is_err());
}

#[test]
fn an_apply_may_do_no_more_than_its_plans_services() {
    let policy = session_policy::for_apply(
        "aws",
        &StateBackend::Local {},
        [
            Change { resource_type: "aws_s3_bucket", deletes: false },
            Change { resource_type: "null_resource", deletes: true },
        ],
    );
    let document: serde_json::Value = serde_json::from_str(policy.inline().unwrap()).unwrap();
    let allowed = document["Statement"][0]["Action"].as_array().unwrap();
    assert!(allowed.iter().any(|action| action == "s3:*"));
    assert!(!allowed.iter().any(|action| action == "ec2:*" || action == "iam:*" || action == "*"));
    assert_eq!(document["Statement"][1]["Effect"], "Deny");
    assert_eq!(document["Statement"][1]["Action"][0], "s3:DeleteBucket");
}
