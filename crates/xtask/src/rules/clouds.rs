//! The control plane cannot resolve a secret: it links no cloud's SDK and nothing of the runner.

use crate::house::{Finding, House};

/// What runs in the control plane. Only `cli` joins it with the runner, in one binary, as two processes.
const CONTROL_PLANE: [&str; 13] = [
    "writ-store",
    "writ-seal",
    "writ-web",
    "writ-gate",
    "writ-identity",
    "writ-deploy",
    "writ-evidence",
    "writ-quantum",
    "writ-vault",
    "writ-compat",
    "writ-console",
    "writ-server",
    "writ-testkit",
];

/// Beginnings of the names of packages that can fetch a credential or a secret from a cloud.
const CLOUD: [&str; 18] = [
    "aws-config",
    "aws-credential",
    "aws-runtime",
    "aws-sdk-",
    "aws-sig",
    "aws-smithy",
    "azure-",
    "azure_",
    "gcloud-",
    "gcp",
    "google-cloud",
    "google-apis",
    "object_store",
    "opendal",
    "reqsign",
    "rusoto",
    "vaultrs",
    "writ-runner",
];

pub(super) fn control_plane_cannot_resolve_a_secret(house: &House) -> Vec<Finding> {
    CONTROL_PLANE.iter().flat_map(|member| linked(house, member)).collect()
}

fn linked(house: &House, member: &str) -> Vec<Finding> {
    let ways = house.graph.reachable(member);
    let forbidden = ways.into_iter().filter(|(name, _)| CLOUD.iter().any(|cloud| name.starts_with(cloud)));
    forbidden
        .map(|(_, way)| Finding {
            path: format!("crates/{}/Cargo.toml", member.trim_start_matches("writ-")),
            line: 0,
            what: format!("the control plane may not link it: {}", way.join(" → ")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::graph;

    fn found(edges: &[(&str, &str)]) -> Vec<String> {
        let house = House { graph: graph(edges), ..House::default() };
        control_plane_cannot_resolve_a_secret(&house).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn an_sdk_is_found_however_deep_with_the_way_to_it() {
        let found = found(&[("writ-deploy", "helper"), ("helper", "aws-sdk-sts")]);
        assert!(found.first().unwrap().ends_with("writ-deploy → helper → aws-sdk-sts"));
    }

    #[test]
    fn the_runner_is_as_forbidden_as_an_sdk() {
        assert_eq!(found(&[("writ-server", "writ-runner")]).len(), 1);
    }

    #[test]
    fn cryptography_and_the_command_line_are_not_the_clouds() {
        assert!(found(&[("writ-server", "aws-lc-rs"), ("writ-cli", "writ-runner")]).is_empty());
    }
}
