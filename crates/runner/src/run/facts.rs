//! What policies may know of a plan.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use writ_wire::policies::PlanFacts;

use crate::aws::session_policy::Change;

/// The facts of `plan`, counted over all of it; regions, images and providers as in its redacted `projection`, and
/// `providers` of the lock file.
pub fn facts<'a>(
    plan: &Value,
    projection: &Value,
    providers: impl IntoIterator<Item = &'a String>,
) -> PlanFacts {
    let listed = |name: &str| -> BTreeSet<String> {
        let items = projection.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut facts = PlanFacts::default();
    let mut types: BTreeMap<String, u32> = BTreeMap::new();
    for change in managed(plan) {
        match what(change) {
            What::Create => facts.create += 1,
            What::Update => facts.update += 1,
            What::Delete => facts.delete += 1,
            What::Replace => facts.replace += 1,
            What::Nothing => continue,
        }
        if let Some(name) = change.get("type").and_then(Value::as_str) {
            *types.entry(name.to_owned()).or_default() += 1;
        }
    }
    let mut used = listed("providers");
    used.extend(providers.into_iter().cloned());
    PlanFacts {
        types,
        regions: listed("regions").into_iter().collect(),
        images: listed("images").into_iter().collect(),
        providers: used.into_iter().collect(),
        ..facts
    }
}

/// Whether applying `plan` would change anything, outputs included; the tool's own word counts too, since it knows
/// of changes that are no change of a resource, like a moved address.
pub fn changes(plan: &Value) -> bool {
    let output = |change: &Value| !matches!(what_of(change), What::Nothing);
    plan.get("applyable").and_then(Value::as_bool).unwrap_or(false)
        || managed(plan).any(|change| !matches!(what(change), What::Nothing))
        || plan
            .get("output_changes")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .any(|(_, change)| output(change))
}

/// What the session policy of an apply must allow.
pub(super) fn touched(plan: &Value) -> impl Iterator<Item = Change<'_>> {
    managed(plan).filter_map(|change| {
        let what = what(change);
        let resource_type = change.get("type").and_then(Value::as_str)?;
        let deletes = matches!(what, What::Delete | What::Replace);
        (!matches!(what, What::Nothing)).then_some(Change { resource_type, deletes })
    })
}

enum What {
    Create,
    Update,
    Delete,
    Replace,
    Nothing,
}

fn managed(plan: &Value) -> impl Iterator<Item = &Value> {
    let changes = plan.get("resource_changes").and_then(Value::as_array).into_iter().flatten();
    changes.filter(|change| change.get("mode").and_then(Value::as_str) == Some("managed"))
}

fn what(change: &Value) -> What {
    change.get("change").map_or(What::Nothing, what_of)
}

/// Forgetting a resource, so that it lives on unmanaged, counts as deleting it: the state loses it.
fn what_of(change: &Value) -> What {
    let actions = change.get("actions").and_then(Value::as_array);
    let has = |wanted: &str| actions.is_some_and(|all| all.iter().any(|action| action == wanted));
    match (has("create"), has("delete") || has("forget"), has("update")) {
        (true, true, _) => What::Replace,
        (true, false, _) => What::Create,
        (false, true, _) => What::Delete,
        (false, false, true) => What::Update,
        (false, false, false) => What::Nothing,
    }
}
