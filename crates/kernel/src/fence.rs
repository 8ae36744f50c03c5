//! How far a credential of the Vault dialect reaches: rules about paths, narrower than any role.

use std::{fmt, sync::Arc};

/// One thing a rule lets a token do with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// Bring something into being.
    Create,
    /// Remove it.
    Delete,
    /// See the names below a path.
    List,
    /// Change a part of it.
    Patch,
    /// Read it.
    Read,
    /// Do what only some may, beside another capability.
    Sudo,
    /// Change it.
    Update,
}

impl Capability {
    /// The lower-case word of path policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Sudo => "sudo",
            Self::Update => "update",
        }
    }
}

/// What the rules of a token say of one path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reach {
    /// No rule is about it.
    #[default]
    Nothing,
    /// A rule denies it.
    Denied,
    /// These, sorted.
    Capabilities(Vec<Capability>),
    /// Whatever there is.
    Everything,
}

/// One rule: a pattern of paths, and what may be done there. `*` at the end matches any rest, `+` matches one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pattern: Box<str>,
    deny: bool,
    capabilities: Vec<Capability>,
}

impl Rule {
    /// A rule that allows `capabilities` at `pattern`.
    pub fn allow(pattern: &str, mut capabilities: Vec<Capability>) -> Self {
        capabilities.sort_unstable();
        capabilities.dedup();
        Self { pattern: pattern.into(), deny: false, capabilities }
    }

    /// A rule that denies `pattern`.
    pub fn deny(pattern: &str) -> Self {
        Self { pattern: pattern.into(), deny: true, capabilities: Vec::new() }
    }

    fn matches(&self, path: &str) -> bool {
        let (pattern, open) = match self.pattern.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (&*self.pattern, false),
        };
        let (mut wanted, mut given) = (pattern.split('/').peekable(), path.split('/'));
        while let Some(segment) = wanted.next() {
            let Some(part) = given.next() else { return false };
            let last = wanted.peek().is_none();
            let fits =
                if last && open { part.starts_with(segment) } else { segment == part || segment == "+" };
            if !fits {
                return false;
            }
        }
        open || given.next().is_none()
    }

    /// The most specific pattern wins: the later its first wildcard, then no `*` at the end, then fewer `+`, then the
    /// longer, then the greater text.
    fn rank(&self) -> (usize, bool, std::cmp::Reverse<usize>, usize, &str) {
        let pattern = &*self.pattern;
        let plus = |(_, segment): &(usize, &str)| *segment == "+";
        let mut at = 0;
        let starts = pattern.split('/').map(|segment| {
            let begin = at;
            at += segment.len() + 1;
            (begin, segment)
        });
        let pluses: Vec<_> = starts.filter(plus).collect();
        let glob = pattern.ends_with('*').then(|| pattern.len() - 1);
        let first =
            pluses.first().map(|(begin, _)| *begin).into_iter().chain(glob).min().unwrap_or(usize::MAX);
        (first, glob.is_none(), std::cmp::Reverse(pluses.len()), pattern.len(), pattern)
    }
}

/// All rules of a token, compiled once and shared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    everything: bool,
    /// Most specific first.
    rules: Vec<Rule>,
}

impl Rules {
    /// No rule stands in the way of anything: the policy `root`.
    pub fn root() -> Self {
        Self { everything: true, rules: Vec::new() }
    }

    /// Rules of several policies together: those about the same pattern are joined, and a denial wins.
    pub fn new(all: impl IntoIterator<Item = Rule>) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        for rule in all {
            match rules.iter_mut().find(|known| known.pattern == rule.pattern) {
                Some(known) => {
                    known.deny |= rule.deny;
                    known.capabilities.extend(rule.capabilities);
                    known.capabilities.sort_unstable();
                    known.capabilities.dedup();
                }
                None => rules.push(rule),
            }
        }
        rules.sort_by(|one, other| other.rank().cmp(&one.rank()));
        Self { everything: false, rules }
    }

    /// What may be done at `path`.
    pub fn reach(&self, path: &str) -> Reach {
        if self.everything {
            return Reach::Everything;
        }
        match self.rules.iter().find(|rule| rule.matches(path)) {
            None => Reach::Nothing,
            Some(rule) if rule.deny => Reach::Denied,
            Some(rule) => Reach::Capabilities(rule.capabilities.clone()),
        }
    }

    /// Whether `capability` is allowed at `path`. A list of a folder is allowed by a rule about it with and without
    /// the slash at its end.
    pub fn allow(&self, path: &str, capability: Capability) -> bool {
        if self.everything {
            return true;
        }
        let here = |path: &str| self.rules.iter().find(|rule| rule.matches(path));
        let rule = here(path).or_else(|| {
            let folder = path.strip_suffix('/').filter(|_| capability == Capability::List)?;
            here(folder)
        });
        rule.is_some_and(|rule| !rule.deny && rule.capabilities.contains(&capability))
    }
}

/// The rules of a token, together with what this one request wants under them. Authentication makes it without a
/// path, and then it lets nothing through; the face that speaks the dialect says the path.
#[derive(Clone)]
pub struct Fence {
    rules: Arc<Rules>,
    wanted: Option<(Box<str>, Capability)>,
}

impl Fence {
    /// A fence of these rules that lets nothing through yet.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules, wanted: None }
    }

    /// The same rules, asked about `capability` at `path`.
    #[must_use]
    pub fn at(&self, path: &str, capability: Capability) -> Self {
        Self { rules: Arc::clone(&self.rules), wanted: Some((path.into(), capability)) }
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether they allow what is wanted.
    pub fn permits(&self) -> bool {
        self.wanted.as_ref().is_some_and(|(path, capability)| self.rules.allow(path, *capability))
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Capability::{List, Read, Update};

    fn rules(all: &[(&str, &[Capability])]) -> Rules {
        Rules::new(all.iter().map(|(pattern, capabilities)| Rule::allow(pattern, capabilities.to_vec())))
    }

    #[test]
    fn the_most_specific_rule_alone_decides() {
        let rules = rules(&[
            ("secret/*", &[Read, Update]),
            ("secret/data/+/password", &[List]),
            ("secret/data/a/password", &[Update]),
        ]);
        assert!(rules.allow("secret/x/y", Read));
        assert!(rules.allow("secret/data/b/password", List) && !rules.allow("secret/data/b/password", Read));
        assert!(
            rules.allow("secret/data/a/password", Update) && !rules.allow("secret/data/a/password", List)
        );
    }

    #[test]
    fn a_denial_wins_over_every_rule_of_the_same_pattern() {
        let rules = Rules::new([Rule::allow("a/*", vec![Read]), Rule::deny("a/*")]);
        assert_eq!(rules.reach("a/b"), Reach::Denied);
        assert!(!rules.allow("a/b", Read));
    }

    #[test]
    fn a_plus_is_one_segment_and_a_star_any_rest() {
        let rules = rules(&[("a/+/c", &[Read]), ("b/x*", &[Read])]);
        assert!(rules.allow("a/b/c", Read) && !rules.allow("a/b/b/c", Read) && !rules.allow("a/b/c/d", Read));
        assert!(rules.allow("b/x", Read) && rules.allow("b/xy/z", Read) && !rules.allow("b/y", Read));
    }

    #[test]
    fn a_folder_is_listed_by_a_rule_without_its_slash() {
        let rules = rules(&[("secret/metadata", &[List])]);
        assert!(rules.allow("secret/metadata/", List) && !rules.allow("secret/metadata/", Read));
    }

    #[test]
    fn a_fence_without_a_path_lets_nothing_through_even_for_root() {
        let fence = Fence::new(Arc::new(Rules::root()));
        assert!(!fence.permits() && fence.at("any/thing", Read).permits());
    }
}
