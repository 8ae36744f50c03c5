//! Trying connections and releasing locks from the command line, with the real tool.

use crate::house::House;

#[test]
fn a_runner_tries_a_connection_and_the_preflight_tells_what_it_found() {
    let house = House::with_tool();
    let ada = house.tenant();
    ada.run("env create dev --kind dev").well();
    ada.run("connection create lab --env dev --local").well();
    let before = ada.run("connection preflight lab").well().out;
    assert!(before.contains("skipped"), "{before}");
    let tried = ada.run("connection preflight lab --connect").well();
    for told in ["tool", "isolation", "authority", "a runner tried it", "nothing blocks"] {
        assert!(tried.out.contains(told), "{told}: {}", tried.out);
    }
    assert!(!tried.out.contains("skipped"), "{}", tried.out);
    let listed = ada.run("--json errand list --connection lab").well().json();
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert!(ada.run(&format!("errand show {id}")).well().out.contains("validated"));
    ada.run(&format!("errand cancel {id}")).badly(1, "succeeded");
}

#[test]
fn only_who_may_releases_a_lock_and_only_one_there_is() {
    let house = House::with_tool();
    let ada = house.tenant();
    let bob = house.member(&ada, "bob", "developer");
    ada.run("env create dev --kind dev").well();
    ada.run("connection create lab --env dev --local").well();
    let unlock = "state unlock --connection lab --target web --lock-id 1d1f5e0a --reason gone";
    bob.run(unlock).badly(1, "runtime.state.unlock");
    let said = ada.run(unlock);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("not_locked"), "{}", said.out);
    ada.run("state unlock --connection lab --target web --lock-id 1d1f5e0a").badly(2, "--reason");
}
