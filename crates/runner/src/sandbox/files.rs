//! The files, ports and signals a program may reach: Landlock.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::message::LaunchSpec;

/// Read and executed by any program: libraries, certificates, name resolution. Nothing below `/home`,
/// `/root`, `/var`, `/run` or `/tmp`.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/proc",
];

/// Devices any program may read and write.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Everything this build knows how to restrict; an older kernel restricts what it can.
const NEWEST: ABI = ABI::V10;

/// A rule set whose paths are opened but which is not in force yet: paths must be opened while the process
/// may still reach them, and enforced after it gave up its identity.
pub(super) fn prepare(spec: &LaunchSpec) -> Result<RulesetCreated, RulesetError> {
    let read = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let own: Vec<PathBuf> = spec.readable.iter().chain([&spec.program]).cloned().collect();
    let mut ruleset =
        Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?.scope(Scope::from_all(NEWEST))?;
    if spec.connect.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut created = ruleset.create()?;
    created = allow(created, SYSTEM, read)?;
    created = allow(created, DEVICES, device)?;
    created = allow(created, &own, read)?;
    created = allow(created, &spec.writable, AccessFs::from_all(NEWEST))?;
    for port in spec.connect.iter().flatten() {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(created)
}

/// Puts the rule set in force and says which version of Landlock did so; 0 for none.
pub(super) fn enforce(ruleset: RulesetCreated) -> Result<u32, RulesetError> {
    let status = ruleset.restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => 0,
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi as u32,
        _ => 0,
    })
}

fn allow<P: AsRef<Path>>(
    ruleset: RulesetCreated,
    paths: &[P],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    ruleset.add_rules(path_beneath_rules(paths, access))
}
