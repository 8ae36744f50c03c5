//! The rules, each in a file with its table of the law and its tests.

mod algorithms;
mod arrows;
mod clouds;
mod homes;
mod layout;
mod links;
mod migrations;
mod sql;
mod wording;

use crate::{
    Problem,
    house::{Finding, House},
};

/// A rule of the house.
#[derive(Debug)]
pub(crate) struct Rule {
    /// How it is named on the command line and in findings.
    pub(crate) name: &'static str,
    /// Finds every place where it is broken.
    pub(crate) check: fn(&House) -> Vec<Finding>,
}

const RULES: [Rule; 15] = [
    Rule { name: "arrows", check: arrows::point_down },
    Rule { name: "clouds", check: clouds::control_plane_cannot_resolve_a_secret },
    Rule { name: "libraries", check: homes::libraries_are_named_at_home },
    Rule { name: "modules", check: homes::words_are_used_at_home },
    Rule { name: "algorithms", check: algorithms::are_named_in_crypto_only },
    Rule { name: "size", check: layout::files_are_short },
    Rule { name: "readme", check: layout::crates_have_a_readme },
    Rule { name: "migrations", check: migrations::come_in_pairs },
    Rule { name: "tenant", check: sql::statements_name_the_tenant },
    Rule { name: "exceptions", check: sql::exceptions_are_needed },
    Rule { name: "sql", check: sql::stands_in_its_modules },
    Rule { name: "sleep", check: wording::tests_do_not_sleep },
    Rule { name: "unfinished", check: wording::nothing_is_left_for_later },
    Rule { name: "places", check: wording::no_path_of_a_machine },
    Rule { name: "links", check: links::lead_somewhere },
];

/// The rules of these names; all when there are none.
pub(crate) fn chosen(names: &[&str]) -> Result<Vec<&'static Rule>, Problem> {
    if names.is_empty() {
        return Ok(RULES.iter().collect());
    }
    let find = |name: &&str| {
        let known: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        RULES
            .iter()
            .find(|rule| rule.name == *name)
            .ok_or_else(|| format!("there is no rule `{name}`; the rules: {}", known.join(" ")).into())
    };
    names.iter().map(find).collect()
}
