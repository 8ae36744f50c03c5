//! Migrations come in pairs: one for each engine, under the same name.

use std::collections::BTreeSet;

use crate::house::{Finding, House};

pub(super) const SQLITE: &str = "crates/store/migrations/sqlite/";
pub(super) const POSTGRES: &str = "crates/store/migrations/postgres/";

pub(super) fn come_in_pairs(house: &House) -> Vec<Finding> {
    let (sqlite, postgres) = (names(house, SQLITE), names(house, POSTGRES));
    let lonely = |here: &str, mine: &BTreeSet<&str>, others: &BTreeSet<&str>, other: &str| -> Vec<Finding> {
        let what = format!("it has no twin in `{other}`");
        mine.difference(others)
            .map(|name| Finding { path: format!("{here}{name}"), line: 0, what: what.clone() })
            .collect()
    };
    let mut findings = lonely(SQLITE, &sqlite, &postgres, POSTGRES);
    findings.extend(lonely(POSTGRES, &postgres, &sqlite, SQLITE));
    findings
}

fn names<'a>(house: &'a House, directory: &str) -> BTreeSet<&'a str> {
    house.files.iter().filter_map(|file| file.path.strip_prefix(directory)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::{house, places};

    #[test]
    fn a_migration_for_one_engine_only_is_found() {
        let house = house(&[
            ("crates/store/migrations/sqlite/0001_tenants.sql", ""),
            ("crates/store/migrations/postgres/0001_tenants.sql", ""),
            ("crates/store/migrations/postgres/0002_walls.sql", ""),
        ]);
        assert_eq!(places(&come_in_pairs(&house)), ["crates/store/migrations/postgres/0002_walls.sql:0"]);
    }
}
