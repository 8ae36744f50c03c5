//! A change that others must agree to, with the real tool.

use std::io::Read as _;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    house::House,
    terminal::{Said, Terminal},
};

const CONFIGURATION: &str = "variable \"who\" {}\n\
    resource \"terraform_data\" \"greeting\" { input = var.who }\n\
    output \"greeting\" { value = var.who }\n";

#[test]
fn a_change_waits_for_somebody_else_who_sees_what_it_is() {
    let house = House::with_tool();
    let ada = house.tenant();
    let (author, approver) = (house.member(&ada, "bob", "developer"), house.member(&ada, "eve", "approver"));
    ada.run("env create stage --kind dev --required-approvals 1").well();
    ada.run("connection create lab --env stage --local").well();
    author.file("net/main.tf", CONFIGURATION);

    let deploying = "deploy net --connection lab --target net --var who=acme --follow";
    let mut following = author.start(&deploying.split(' ').collect::<Vec<_>>());
    let approval = pending(&approver);
    stop_following(&mut following);
    let said = Said::at_the_end(following);
    assert_eq!(said.code, 130, "{}{}", said.out, said.err);
    let deployment = author.run("--json deployment list").well().json()["items"][0].clone();
    assert_eq!(deployment["state"], "awaiting_approval", "to stop following stops nothing");
    let id = deployment["id"].as_str().unwrap();
    assert!(said.err.contains(&format!("writ deployment output {id} --follow")), "{}", said.err);

    let shown = approver.run(&format!("approval show {approval}")).well().out;
    assert!(shown.contains("+ terraform_data.greeting") && shown.contains("plan: 1 to create"), "{shown}");
    author.run(&format!("approval approve {approval} --yes")).badly(1, "somebody other than the author");
    approver.run(&format!("approval approve {approval}")).badly(2, "nobody is there to confirm");
    approver.run(&format!("approval approve {approval} --binding sha256:00")).badly(1, "another plan");
    let binding = deployment["plan"]["binding"].as_str().unwrap();
    approver.run(&format!("approval approve {approval} --binding {binding} --comment seen")).well();

    let said = author.run(&format!("deployment output {id} --follow")).well();
    assert!(said.out.contains(&format!("deployment {id}: succeeded")), "{}", said.out);
    assert!(said.out.contains("greeting = \"acme\""), "{}", said.out);
    let shown = approver.run(&format!("approval show {approval}")).well().out;
    assert!(shown.contains("used") && shown.contains("seen"), "{shown}");
    rolled_back(&author, &approver, id);
}

/// An earlier configuration is deployed again, which an approver refuses.
fn rolled_back(author: &Terminal, approver: &Terminal, id: &str) {
    author.file("net/main.tf", CONFIGURATION.replace("greeting", "farewell"));
    let planned = author
        .run("--json deploy net --connection lab --target net --var who=acme --plan-only --follow")
        .well();
    let last: Value = serde_json::from_str(planned.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["deployment"]["state"]), (&"end".into(), &"succeeded".into()));

    author.file("net/main.tf", CONFIGURATION);
    let deploying =
        author.run("--json deploy net --connection lab --target net --var who=others --detach").well().json();
    let approval = pending(approver);
    approver.run(&format!("approval reject {approval} --yes --comment no")).well();
    let newest = deploying["id"].as_str().unwrap();
    let said = author.run(&format!("deployment output {newest} --follow"));
    assert_eq!(said.code, 1);
    assert!(said.out.contains("refused"), "{}", said.out);
    author.run(&format!("deployment rollback {newest}")).badly(1, "was not applied");
    author.run(&format!("deployment rollback {id} --reason again --follow")).well();
}

/// The request for approval that comes up.
fn pending(approver: &Terminal) -> String {
    loop {
        let page = approver.run("--json approval list --state pending").well().json();
        if let Some(approval) = page["items"].get(0) {
            return approval["id"].as_str().unwrap().to_owned();
        }
    }
}

/// Presses Ctrl-C once something was shown: from then on the program knows what to do about it.
fn stop_following(following: &mut std::process::Child) {
    let mut first = [0];
    following.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let pid = Pid::from_raw(i32::try_from(following.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}
