//! `{{identity.…}}` in the paths of a policy.

use crate::entity::Entity;

/// `pattern` with what it says of `entity` filled in; `None` when the entity has no such, or when it would change what
/// the pattern means: a name cannot widen a rule.
pub(super) fn resolve(pattern: &str, entity: &Entity) -> Option<String> {
    let mut resolved = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("{{") {
        let (what, next) = after.split_once("}}")?;
        let value = value(what.trim(), entity)?;
        if value.is_empty() || value.contains(['/', '*', '+']) {
            return None;
        }
        resolved.extend([before, &value]);
        rest = next;
    }
    resolved.push_str(rest);
    Some(resolved)
}

fn value(what: &str, entity: &Entity) -> Option<String> {
    let what = what.strip_prefix("identity.")?;
    if let Some(what) = what.strip_prefix("entity.") {
        return of_entity(what, entity);
    }
    let (kind, rest) = what.strip_prefix("groups.")?.split_once('.')?;
    let (key, wanted) = rest.rsplit_once('.')?;
    let group = entity.groups.iter().find(|group| match kind {
        "ids" => group.id.to_string() == key,
        "names" => group.name == key,
        _ => false,
    })?;
    match wanted {
        "id" => Some(group.id.to_string()),
        "name" => Some(group.name.clone()),
        _ => None,
    }
}

fn of_entity(what: &str, entity: &Entity) -> Option<String> {
    if let Some(key) = what.strip_prefix("metadata.") {
        return entity.metadata.get(key).cloned();
    }
    if let Some(rest) = what.strip_prefix("aliases.") {
        let (accessor, wanted) = rest.split_once('.')?;
        let alias = entity.aliases.iter().find(|alias| alias.mount_accessor == accessor)?;
        return match wanted {
            "id" => Some(alias.id.to_string()),
            "name" => Some(alias.name.clone()),
            other => alias.metadata.get(other.strip_prefix("metadata.")?).cloned(),
        };
    }
    match what {
        "id" => Some(entity.id.to_string()),
        "name" => Some(entity.name.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entity() -> Entity {
        serde_json::from_value(json!({
            "id": "00000000-0000-7000-8000-000000000001",
            "name": "billing",
            "metadata": { "team": "a", "wide": "*" },
            "aliases": [{ "id": "00000000-0000-7000-8000-000000000002", "mount_accessor": "auth_jwt_1", "name": "ci",
                          "metadata": { "repo": "x", "path": "a/b" } }],
            "groups": [{ "id": "00000000-0000-7000-8000-000000000003", "name": "devs" }],
        }))
        .unwrap()
    }

    #[test]
    fn what_an_entity_is_called_is_filled_in() {
        for (pattern, expected) in [
            ("kv/{{identity.entity.name}}/*", "kv/billing/*"),
            ("kv/{{ identity.entity.metadata.team }}", "kv/a"),
            ("kv/{{identity.entity.aliases.auth_jwt_1.name}}", "kv/ci"),
            ("kv/{{identity.entity.aliases.auth_jwt_1.metadata.repo}}/x", "kv/x/x"),
            ("kv/{{identity.groups.names.devs.id}}", "kv/00000000-0000-7000-8000-000000000003"),
        ] {
            assert_eq!(resolve(pattern, &entity()).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_missing_or_would_widen_the_rule_gives_no_rule() {
        for pattern in [
            "kv/{{identity.entity.metadata.none}}",
            "kv/{{identity.entity.metadata.wide}}",
            "kv/{{identity.entity",
            "kv/{{identity.entity.aliases.auth_jwt_1.metadata.path}}",
            "kv/{{other}}",
            "kv/{{identity.groups.x}}",
        ] {
            assert_eq!(resolve(pattern, &entity()), None, "{pattern}");
        }
    }
}
