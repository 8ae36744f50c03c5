//! Links in documents lead to files and headings that exist.

use std::collections::BTreeSet;

use crate::house::{File, Finding, House};

pub(super) fn lead_somewhere(house: &House) -> Vec<Finding> {
    let documents = house.files.iter().filter(|file| file.has_ending("md"));
    documents.flat_map(|file| broken(house, file)).collect()
}

fn broken(house: &House, file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in prose(&file.text) {
        for link in links(text).filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = resolved(&file.path, path);
            let exists = path.is_empty() || house.paths.contains(&target);
            let document = if path.is_empty() {
                Some(file)
            } else {
                house.files.iter().find(|file| file.path == target)
            };
            let headed = heading.is_empty()
                || document.is_none_or(|document| {
                    !document.has_ending("md") || headings(document).contains(heading)
                });
            if !exists || !headed {
                findings.push(file.finding(line, format!("the link `{link}` leads nowhere")));
            }
        }
    }
    findings
}

/// Lines outside fenced code, from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

/// Destinations of the inline links in a line: `[text](destination)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()).filter(|link| !link.is_empty())
}

/// `path`, as written in the document `from`, from the top of the repository.
fn resolved(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Headings as links name them: lower case, spaces as hyphens, without punctuation.
fn headings(document: &File) -> BTreeSet<String> {
    let titles = prose(&document.text).filter(|(_, line)| line.starts_with('#'));
    titles
        .map(|(_, title)| {
            let kept = title
                .trim_start_matches('#')
                .trim()
                .chars()
                .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::{house, places};

    #[test]
    fn a_link_to_nothing_is_found_and_foreign_ones_are_not_followed() {
        let house = house(&[
            ("docs/a.md", "[b](b.md) [top](../README.md)\n[no](c.md)\n[far](https://a.example/c.md)"),
            ("docs/b.md", ""),
            ("README.md", "[b](docs/b.md)"),
        ]);
        assert_eq!(places(&lead_somewhere(&house)), ["docs/a.md:2"]);
    }

    #[test]
    fn a_heading_must_exist_too() {
        let house =
            house(&[("a.md", "# The `law`, in short\n[1](#the-law-in-short)\n[2](#law)\n[3](a.md#law)")]);
        assert_eq!(places(&lead_somewhere(&house)), ["a.md:3", "a.md:4"]);
    }

    #[test]
    fn code_is_not_a_link() {
        assert_eq!(lead_somewhere(&house(&[("a.md", "```\n[no](c.md)\n```")])), []);
    }
}
