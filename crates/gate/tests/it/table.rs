//! The action × role table: who may do what under the built-in policies. Whoever changes a policy changes this
//! picture of it, and somebody else reads the difference.

use std::fmt::Write as _;

use insta::assert_snapshot;
use writ_gate::{Circumstances, Resource, policy::Policies};
use writ_kernel::{ACTIONS, Action, Caller, PrincipalKind};

use crate::cast::{environment, facts_under, of_kind, person};

const ROLES: &[&str] = &["viewer", "developer", "operator", "approver", "auditor", "admin", "platform-admin"];

/// `-` never, `+` as it stands, a digit after so many approvals by others (two at most are tried).
fn verdict(policies: &Policies, caller: &Caller, action: Action, resource: &Resource) -> char {
    let allowed = |approvals| {
        let around = Circumstances { approvals, ..Circumstances::default() };
        policies.decide(action, &facts_under(caller, resource, &around)).unwrap().allow
    };
    match (0..=2).find(|approvals| allowed(*approvals)) {
        None => '-',
        Some(0) => '+',
        Some(more) => char::from(b'0' + more),
    }
}

/// One cell: what is somebody else's, then what is the caller's own.
fn cell(policies: &Policies, caller: &Caller, action: Action, kind: &str, approvals: u8) -> String {
    let somebody = person(&[]).principal;
    let thing = Resource::all("thing").within(environment(kind, approvals));
    let others = thing.clone().by(somebody).of(somebody);
    let own = thing.by(caller.principal).of(caller.principal);
    [&others, &own].map(|resource| verdict(policies, caller, action, resource)).iter().collect()
}

fn table(columns: &[(&str, Caller)], kind: &str, approvals: u8) -> String {
    let policies = Policies::compile("").unwrap();
    let mut text = format!("{:<32}", "");
    for (name, _) in columns {
        write!(text, "{name:>11}").unwrap();
    }
    for action in ACTIONS {
        write!(text, "\n{:<32}", action.name()).unwrap();
        for (_, caller) in columns {
            write!(text, "{:>11}", cell(&policies, caller, *action, kind, approvals)).unwrap();
        }
    }
    text
}

fn roles() -> Vec<(&'static str, Caller)> {
    let held =
        ROLES.iter().map(|role| (if *role == "platform-admin" { "platform" } else { role }, person(&[role])));
    [("none", person(&[]))].into_iter().chain(held).collect()
}

#[test]
fn what_people_may_do_in_development() {
    assert_snapshot!(table(&roles(), "dev", 0));
}

#[test]
fn what_people_may_do_in_production() {
    assert_snapshot!(table(&roles(), "prod", 0));
}

#[test]
fn what_people_may_do_where_two_must_approve() {
    assert_snapshot!(table(&roles(), "staging", 2));
}

#[test]
fn what_others_than_people_may_do_in_production() {
    let columns = [
        ("service", of_kind(PrincipalKind::Service, &[])),
        ("developer", of_kind(PrincipalKind::Service, &["developer"])),
        ("approver", of_kind(PrincipalKind::Service, &["approver"])),
        ("runner", of_kind(PrincipalKind::Runner, &[])),
        ("system", of_kind(PrincipalKind::System, &[])),
    ];
    assert_snapshot!(table(&columns, "prod", 0));
}
