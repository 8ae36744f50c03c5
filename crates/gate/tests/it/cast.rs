//! Who appears in these tests, and where.

use writ_gate::{Circumstances, Environment, Facts, Resource};
use writ_kernel::{Caller, Clock as _, Id, Principal, PrincipalKind, Role, Scopes};
use writ_store::testing::Time;

/// A person who holds `roles` everywhere.
pub(crate) fn person(roles: &[&str]) -> Caller {
    of_kind(PrincipalKind::Person, roles)
}

/// A principal of some other kind.
pub(crate) fn of_kind(kind: PrincipalKind, roles: &[&str]) -> Caller {
    let world = Time::default().world();
    let role = |name: &&str| Role { name: name.parse().unwrap(), environment: None };
    Caller {
        principal: world.id(),
        kind,
        roles: roles.iter().map(role).collect(),
        scopes: Scopes::all(),
        fence: None,
        ..Caller::system(world.id(), &world)
    }
}

/// An environment of `kind` that demands `approvals`.
pub(crate) fn environment(kind: &str, approvals: u8) -> Environment {
    let world = Time::default().world();
    Environment {
        id: world.id(),
        name: kind.parse().unwrap(),
        kind: kind.to_owned(),
        required_approvals: approvals,
        minimum_isolation: 0,
        created_at: world.now(),
    }
}

/// A deployment by `author` in an environment of `kind`.
pub(crate) fn deployment(kind: &str, author: Id<Principal>) -> Resource {
    let world = Time::default().world();
    Resource::one("deployment", world.id::<()>()).within(environment(kind, 0)).by(author)
}

/// What policy looks at when `caller` does something to `resource`.
pub(crate) fn facts(caller: &Caller, resource: &Resource) -> Facts {
    facts_under(caller, resource, &Circumstances::default())
}

/// As [`facts`], in particular circumstances.
pub(crate) fn facts_under(caller: &Caller, resource: &Resource, around: &Circumstances) -> Facts {
    Facts::new(caller, resource, around, Time::default().now())
}
