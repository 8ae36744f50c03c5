//! Secrets at the command line, and programs that run with them.

use std::fs;

use crate::{house::House, terminal::Terminal};

const PASSWORD: &str = "correct horse battery staple";

/// Somebody who develops in the environment `dev` of a new tenant, and the tenant's administrator.
fn developer(house: &House) -> (Terminal, Terminal) {
    let ada = house.tenant();
    ada.run("env create dev --kind dev").well();
    let bob = house.member(&ada, "bob", "developer");
    (bob.with("WRIT_ENVIRONMENT", "dev"), ada)
}

#[test]
fn a_secret_is_stored_read_and_rolled_back() {
    let house = House::without_tool();
    let (bob, ada) = developer(&house);
    bob.typing(&format!("{PASSWORD}\n"), "vault put billing/db --purpose billing --label db").well();
    let said = bob.run("vault get billing/db").well();
    assert_eq!(said.out, format!("{PASSWORD}\n"), "the value stands alone on standard output");
    bob.typing("another\n", "vault put billing/db --cas 1").well();
    bob.typing("too late\n", "vault put billing/db --cas 1").badly(1, "error: ");
    bob.run("vault rollback billing/db 1").well();
    assert_eq!(bob.run("vault get billing/db").well().out, format!("{PASSWORD}\n"));
    assert_eq!(bob.run("vault get billing/db --version 2").well().out, "another\n");
    assert!(bob.run("vault list").well().out.contains("billing/db"));
    let history = bob.run("vault history billing/db").well().out;
    assert_eq!(history.lines().count(), 4, "{history}");
    assert!(!history.contains(PASSWORD), "a list of versions shows no value");
    ada.run("vault get billing/db --env dev").badly(1, "error: ");
    bob.run("vault get billing/nothing").badly(1, "error: ");
}

#[test]
fn what_is_deleted_can_be_restored_and_what_is_destroyed_cannot() {
    let house = House::without_tool();
    let (bob, _) = developer(&house);
    bob.typing("v\n", "vault put a").well();
    bob.run("vault delete a").well();
    bob.run("vault get a").badly(1, "error: ");
    bob.run("vault restore a --version 1").well();
    bob.run("vault get a").well();
    bob.run("vault deactivate a").well();
    bob.run("vault get a").badly(1, "error: ");
    bob.run("vault activate a").well();
    bob.run("vault get a").well();
    bob.run("vault destroy a --version 1 --yes").badly(1, "error: ");
}

#[test]
fn a_program_gets_its_secrets_and_its_output_does_not_show_them() {
    let house = House::without_tool();
    let (bob, _) = developer(&house);
    bob.typing(&format!("{PASSWORD}\n"), "vault put db").well();
    let value = bob.home().join("value.json");
    fs::write(&value, r#"{"user":"app","password":"tr0ub4dor&3-and-more"}"#).unwrap();
    bob.run(&format!("vault put both --json-value --file {}", value.display())).well();
    let script = bob.home().join("show.sh");
    fs::write(
        &script,
        "echo \"db: $DB\"; echo \"user: $APP_USER\"; printf %s \"$DB\" | base64; echo \"$PASS\" >&2\n\
         [ -z \"$WRIT_TOKEN\" ] || echo token\nexit 7\n",
    )
    .unwrap();
    let line = format!("run -s DB=db -s APP_USER=both#user -s PASS=both#password -- sh {}", script.display());
    let said = bob.run(&line);
    assert_eq!(said.code, 7, "it exits as the program does: {}", said.err);
    assert!(said.out.contains("db: [REDACTED:db]"), "{}", said.out);
    assert!(said.err.contains("[REDACTED:both]"), "{}", said.err);
    assert!(!said.out.contains(PASSWORD) && !said.err.contains("tr0ub4dor"), "{} {}", said.out, said.err);
    assert!(!said.out.contains("Y29ycmVjdCBob3JzZSBiYXR0ZXJ5"), "{}", said.out);
    assert!(!said.out.contains("token"), "{}", said.out);
}

#[test]
fn a_program_that_is_not_there_or_lacks_its_secret_does_not_start() {
    let house = House::without_tool();
    let (bob, _) = developer(&house);
    bob.typing("value\n", "vault put a").well();
    bob.run("run -s A=a -- /nonexistent/program").badly(127, "cannot be started");
    let mark = bob.home().join("mark");
    bob.run(&format!("run -s A=absent -- touch {}", mark.display())).badly(1, "error: ");
    assert!(!mark.exists());
    bob.run("run -s 1A=a -- true").badly(2, "letters, digits and underscores");
}
