//! The schema speaks of exactly what the product can do.

use std::collections::BTreeSet;

use writ_gate::policy::{SCHEMA, schema_actions};
use writ_kernel::{ACTIONS, Effect};

#[test]
fn the_schema_knows_every_action_and_no_other() {
    let known: BTreeSet<_> = schema_actions().into_iter().collect();
    let groups = ["read", "use", "write"];
    let wanted = ACTIONS.iter().map(|action| action.name()).chain(groups).map(str::to_owned).collect();
    assert_eq!(known, wanted);
}

#[test]
fn what_looks_is_in_read_and_what_changes_is_in_write() {
    let schema: cedar_policy::Schema = SCHEMA.parse().unwrap();
    let entities = schema.action_entities().unwrap();
    let action = |name: &str| format!("Writ::Action::{name:?}").parse::<cedar_policy::EntityUid>().unwrap();
    for each in ACTIONS {
        let group = match each.effect() {
            Effect::Read => "read",
            Effect::Use => "use",
            Effect::Write => "write",
        };
        let parents: Vec<_> = entities.ancestors(&action(each.name())).unwrap().collect();
        assert_eq!(parents, [&action(group)], "{each}");
    }
}
