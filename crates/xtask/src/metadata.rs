//! The dependency graph, as cargo resolves it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde::Deserialize;

use crate::Problem;

/// Package name → names of the packages it links in a normal build, on any target. Development and build
/// dependencies are not in it.
#[derive(Debug, Default)]
pub(crate) struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Graph {
    /// Asks cargo, with the versions of the lock file.
    pub(crate) fn load(root: &Path) -> Result<Self, Problem> {
        let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--format-version=1", "--locked"])
            .current_dir(root)
            .output()?;
        if !output.status.success() {
            return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(Self::parse(&output.stdout)?)
    }

    fn parse(document: &[u8]) -> Result<Self, serde_json::Error> {
        let Metadata { packages, resolve } = serde_json::from_slice(document)?;
        let names: BTreeMap<String, String> =
            packages.into_iter().map(|package| (package.id, package.name)).collect();
        let name = |id: &str| names.get(id).cloned().unwrap_or_default();
        let mut graph = BTreeMap::<String, BTreeSet<String>>::new();
        for node in resolve.nodes {
            let normal = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            graph.entry(name(&node.id)).or_default().extend(normal.map(|dep| name(&dep.pkg)));
        }
        Ok(Self(graph))
    }

    /// The shortest way from `from` to each package it links, itself excluded: the names passed, the last being it.
    pub(crate) fn reachable<'a>(&'a self, from: &'a str) -> BTreeMap<&'a str, Vec<&'a str>> {
        let mut ways: BTreeMap<&'a str, Vec<&'a str>> = BTreeMap::new();
        let mut front = vec![vec![from]];
        while !front.is_empty() {
            let mut next = Vec::new();
            for way in front {
                for name in way.last().and_then(|last| self.0.get(*last)).into_iter().flatten() {
                    if !ways.contains_key(name.as_str()) {
                        let longer = [way.as_slice(), &[name]].concat();
                        ways.insert(name, longer.clone());
                        next.push(longer);
                    }
                }
            }
            front = next;
        }
        ways
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

/// `kind` is absent for a normal dependency, else `dev` or `build`.
#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A graph of these edges.
    pub(crate) fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = BTreeMap::<String, BTreeSet<String>>::new();
        for (from, to) in edges {
            graph.entry((*from).into()).or_default().insert((*to).into());
        }
        Graph(graph)
    }

    #[test]
    fn only_what_a_normal_build_links_is_an_edge() {
        let graph = Graph::parse(
            br#"{
              "packages": [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}, {"id": "3", "name": "c"}],
              "resolve": {"nodes": [
                {"id": "1", "deps": [
                  {"pkg": "2", "dep_kinds": [{"kind": "dev"}, {"kind": null}]},
                  {"pkg": "3", "dep_kinds": [{"kind": "build"}]}
                ]},
                {"id": "2", "deps": []}, {"id": "3", "deps": []}
              ]}
            }"#,
        )
        .unwrap();
        assert_eq!(graph.reachable("a").into_keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn the_graph_of_this_house_is_the_real_one() {
        let graph = Graph::load(&crate::root()).unwrap();
        let linked = graph.reachable("writ-cli");
        assert!(
            ["writ-kernel", "writ-runner", "aws-lc-rs", "serde_core"]
                .iter()
                .all(|name| linked.contains_key(name))
        );
        assert!(!linked.contains_key("writ-testkit"));
    }

    #[test]
    fn the_way_found_is_the_shortest_and_cycles_end() {
        let graph =
            graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("a", "d"), ("d", "e"), ("b", "e"), ("c", "e")]);
        assert_eq!(graph.reachable("a").get("e").unwrap().len(), 3);
    }
}
