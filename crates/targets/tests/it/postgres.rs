//! Roles of a real PostgreSQL server.

use writ_crypto::SecretString;
use writ_kernel::Timestamp;
use writ_targets::{
    postgres::{Postgres, Template},
    testing::Target,
};

const CREATION: &str = "CREATE ROLE {{name}} LOGIN PASSWORD {{password}} VALID UNTIL {{expiration}};
                        GRANT CREATE, USAGE ON SCHEMA public TO {{name}};";

fn until() -> Timestamp {
    "2099-01-01T00:00:00Z".parse().unwrap()
}

fn creation() -> Template {
    Template::parse(CREATION).unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

async fn run(as_whom: &Postgres, statement: &str) {
    as_whom.make(&Template::parse(statement).unwrap(), "nobody", &secret("x"), until()).await.unwrap();
}

/// An engine's role: it may make roles, and is no superuser.
async fn maker(target: &Target) -> Postgres {
    run(&target.superuser(), "CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'made up'").await;
    run(&target.superuser(), "GRANT ALL ON SCHEMA public TO maker WITH GRANT OPTION").await;
    target.login("maker", "made up")
}

#[tokio::test]
async fn a_role_logs_in_until_it_is_unmade_and_what_it_made_is_kept() {
    let target = Target::start().await;
    let maker = maker(&target).await;
    let name = "v-strange \"name'; --";
    maker.make(&creation(), name, &secret("pass'word"), until()).await.unwrap();
    let user = target.login(name, "pass'word");
    run(&user, "CREATE TABLE kept (n int)").await;

    maker.unmake(None, name).await.unwrap();
    assert_eq!(user.log_in().await.unwrap_err().code(), "target_login_refused");
    run(&maker, "SELECT * FROM kept").await;
    maker.unmake(None, name).await.unwrap();
}

#[tokio::test]
async fn a_role_that_is_over_does_not_log_in_and_one_that_is_extended_does() {
    let target = Target::start().await;
    let maker = maker(&target).await;
    let past = "2001-01-01T00:00:00Z".parse().unwrap();
    maker.make(&creation(), "late", &secret("password"), past).await.unwrap();
    let user = target.login("late", "password");
    assert_eq!(user.log_in().await.unwrap_err().code(), "target_login_refused");
    maker.extend(None, "late", until()).await.unwrap();
    user.log_in().await.unwrap();
}

#[tokio::test]
async fn a_creation_that_fails_half_way_leaves_nothing() {
    let target = Target::start().await;
    let maker = maker(&target).await;
    let broken =
        Template::parse("CREATE ROLE {{name}} LOGIN PASSWORD {{password}}; GRANT nothing TO {{name}}")
            .unwrap();
    let error = maker.make(&broken, "half", &secret("hunter-two"), until()).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter-two"), "{error:?}");
    assert_eq!(target.login("half", "hunter-two").log_in().await.unwrap_err().code(), "target_login_refused");
}

#[tokio::test]
async fn a_revocation_of_ones_own_that_leaves_the_role_open_is_no_revocation() {
    let target = Target::start().await;
    let maker = maker(&target).await;
    maker.make(&creation(), "stays", &secret("password"), until()).await.unwrap();
    let reopens = Template::parse("ALTER ROLE {{name}} LOGIN").unwrap();
    assert_eq!(
        maker.unmake(Some(&reopens), "stays").await.unwrap_err().public(),
        "the role can still log in"
    );
}

#[tokio::test]
async fn another_password_replaces_the_first() {
    let target = Target::start().await;
    let maker = maker(&target).await;
    maker.make(&creation(), "turned", &secret("one"), until()).await.unwrap();
    maker.set_password("turned", &secret("two'")).await.unwrap();
    assert_eq!(target.login("turned", "one").log_in().await.unwrap_err().code(), "target_login_refused");
    target.login("turned", "two'").log_in().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable() {
    let target = Target::start().await;
    target.stop();
    let error = target.superuser().log_in().await.unwrap_err();
    assert_eq!(error.code(), "target_unreachable");
    target.resume().await;
    target.superuser().log_in().await.unwrap();
}
