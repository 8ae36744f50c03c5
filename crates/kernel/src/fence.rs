//! How far a credential of the Vault dialect reaches: rules about paths, narrower than any role.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

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
    /// See the names of everything below a path, at any depth.
    Scan,
    /// Do what only some may, beside another capability.
    Sudo,
    /// Change it.
    Update,
}

impl Capability {
    /// All of them, by their words.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Delete,
        Self::List,
        Self::Patch,
        Self::Read,
        Self::Scan,
        Self::Sudo,
        Self::Update,
    ];

    /// The lower-case word of path policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Scan => "scan",
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

/// What a parameter may be: any of these texts, in which `*` at either end stands for any rest. None means anything.
pub type Values = Vec<String>;

/// What a rule demands of a request beside its path: names of parameters are in lower case, `*` stands for all others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demands {
    /// The parameters a write may have; none means any.
    pub allowed: BTreeMap<String, Values>,
    /// The parameters a write must not have.
    pub denied: BTreeMap<String, Values>,
    /// The parameters a write must have.
    pub required: Vec<String>,
    /// The answer must be wrapped for at least this long.
    pub shortest_wrap: Option<Duration>,
    /// The answer must be wrapped, for no longer than this.
    pub longest_wrap: Option<Duration>,
}

impl Demands {
    /// Both together: what one allows is allowed, what one denies is denied; of times, the shorter holds.
    fn join(&mut self, other: Self) {
        join_values(&mut self.allowed, other.allowed);
        join_values(&mut self.denied, other.denied);
        for name in other.required {
            if !self.required.contains(&name) {
                self.required.push(name);
            }
        }
        self.shortest_wrap = shorter(self.shortest_wrap, other.shortest_wrap);
        self.longest_wrap = shorter(self.longest_wrap, other.longest_wrap);
    }

    fn met_by(&self, wanted: &Wanted) -> bool {
        let wrap = wanted.wrap.unwrap_or_default();
        if self.longest_wrap.is_some_and(|longest| wrap.is_zero() || wrap > longest)
            || self.shortest_wrap.is_some_and(|shortest| wrap < shortest)
        {
            return false;
        }
        let Some(parameters) = &wanted.parameters else { return true };
        let given = |name: &String| parameters.iter().any(|(given, _)| given == name);
        if !self.required.iter().all(given) || self.denied.contains_key("*") && !parameters.is_empty() {
            return false;
        }
        let denied = |(name, value): &(String, String)| {
            self.denied.get(name).is_some_and(|values| covers(values, value))
        };
        let others = self.allowed.is_empty() || self.allowed.contains_key("*");
        let allowed = |(name, value): &(String, String)| match self.allowed.get(name) {
            Some(values) => covers(values, value),
            None => others,
        };
        parameters.iter().all(|parameter| !denied(parameter) && allowed(parameter))
    }
}

fn join_values(all: &mut BTreeMap<String, Values>, others: BTreeMap<String, Values>) {
    for (name, values) in others {
        match all.get_mut(&name) {
            // No values means any, and any stays any.
            Some(known) if known.is_empty() || values.is_empty() => known.clear(),
            Some(known) => known.extend(values),
            None => drop(all.insert(name, values)),
        }
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

fn covers(values: &[String], given: &str) -> bool {
    let fits = |value: &String| match (value.strip_prefix('*'), value.strip_suffix('*')) {
        (Some(_), Some(_)) => given.contains(value.trim_matches('*')),
        (Some(end), None) => given.ends_with(end),
        (None, Some(start)) => given.starts_with(start),
        (None, None) => value == given,
    };
    values.is_empty() || values.iter().any(fits)
}

/// One rule: a pattern of paths, and what may be done there. `*` at the end matches any rest, `+` matches one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pattern: Box<str>,
    deny: bool,
    capabilities: Vec<Capability>,
    demands: Demands,
}

impl Rule {
    /// A rule that allows `capabilities` at `pattern`.
    pub fn allow(pattern: &str, mut capabilities: Vec<Capability>) -> Self {
        capabilities.sort_unstable();
        capabilities.dedup();
        Self { pattern: pattern.into(), deny: false, capabilities, demands: Demands::default() }
    }

    /// A rule that denies `pattern`.
    pub fn deny(pattern: &str) -> Self {
        Self { deny: true, ..Self::allow(pattern, Vec::new()) }
    }

    /// The same rule, which demands this of requests.
    #[must_use]
    pub fn demanding(self, demands: Demands) -> Self {
        Self { demands, ..self }
    }

    /// The same rule about another pattern.
    #[must_use]
    pub fn about(self, pattern: &str) -> Self {
        Self { pattern: pattern.into(), ..self }
    }

    /// The pattern.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether it denies.
    pub fn denies(&self) -> bool {
        self.deny
    }

    /// What it allows, sorted.
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Whether the pattern is a path and matches nothing else.
    fn exact(&self) -> bool {
        !self.pattern.ends_with('*') && !self.pattern.split('/').any(|segment| segment == "+")
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

    fn join(&mut self, other: Self) {
        self.deny |= other.deny;
        self.capabilities.extend(other.capabilities);
        self.capabilities.sort_unstable();
        self.capabilities.dedup();
        self.demands.join(other.demands);
        if self.deny {
            self.capabilities.clear();
            self.demands = Demands::default();
        }
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
    /// Rules about one path each.
    exact: BTreeMap<Box<str>, Rule>,
    /// Rules with wildcards, most specific first.
    open: Vec<Rule>,
}

impl Rules {
    /// No rule stands in the way of anything: the policy `root`.
    pub fn root() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Rules of several policies together: those about the same pattern are joined, and a denial wins.
    pub fn new(all: impl IntoIterator<Item = Rule>) -> Self {
        let mut rules: BTreeMap<Box<str>, Rule> = BTreeMap::new();
        for rule in all {
            match rules.get_mut(&rule.pattern) {
                Some(known) => known.join(rule),
                None => drop(rules.insert(rule.pattern.clone(), rule)),
            }
        }
        let (exact, open): (BTreeMap<_, _>, BTreeMap<_, _>) =
            rules.into_iter().partition(|(_, rule)| rule.exact());
        let mut open: Vec<_> = open.into_values().collect();
        open.sort_by(|one, other| other.rank().cmp(&one.rank()));
        Self { everything: false, exact, open }
    }

    /// Whether no rule stands in the way of anything.
    pub fn are_root(&self) -> bool {
        self.everything
    }

    /// Every rule: those about one path first, then the others, the most specific first.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.exact.values().chain(&self.open)
    }

    /// The rule about `path`, as for a list: of a folder, by a rule with or without the slash at its end.
    fn rule(&self, path: &str, listing: bool) -> Option<&Rule> {
        let folder = path.strip_suffix('/').filter(|_| listing);
        let exact = self.exact.get(path).or_else(|| self.exact.get(folder?));
        let open = |path: &str| self.open.iter().find(|rule| rule.matches(path));
        exact.or_else(|| open(path)).or_else(|| open(folder?))
    }

    /// What may be done at `path`.
    pub fn reach(&self, path: &str) -> Reach {
        if self.everything {
            return Reach::Everything;
        }
        match self.rule(path, true) {
            None => Reach::Nothing,
            Some(rule) if rule.deny => Reach::Denied,
            Some(rule) => Reach::Capabilities(rule.capabilities.clone()),
        }
    }

    /// Whether anything at all may be done at `prefix` or below it.
    pub fn reach_below(&self, prefix: &str) -> bool {
        let reaches = |rule: &Rule| {
            let allows = !rule.deny && !rule.capabilities.is_empty();
            allows && (meets(&rule.pattern, prefix) || rule.matches(prefix))
        };
        self.everything || self.iter().any(reaches)
    }

    /// Whether `capability` is allowed at `path`.
    pub fn allow(&self, path: &str, capability: Capability) -> bool {
        self.permit(&Wanted::only(path, capability))
    }

    /// Whether what is wanted is allowed.
    pub fn permit(&self, wanted: &Wanted) -> bool {
        if self.everything {
            return true;
        }
        let listing = matches!(wanted.capability, Capability::List | Capability::Scan);
        self.rule(&wanted.path, listing).is_some_and(|rule| {
            !rule.deny
                && rule.capabilities.contains(&wanted.capability)
                && (!wanted.sudo || rule.capabilities.contains(&Capability::Sudo))
                && rule.demands.met_by(wanted)
        })
    }
}

/// Whether `pattern` can match something below `prefix`.
fn meets(pattern: &str, prefix: &str) -> bool {
    let (pattern, open) = pattern.strip_suffix('*').map_or((pattern, false), |prefix| (prefix, true));
    let mut wanted = pattern.split('/').peekable();
    for part in prefix.trim_end_matches('/').split('/') {
        let Some(segment) = wanted.next() else { return false };
        if open && wanted.peek().is_none() {
            return part.starts_with(segment);
        }
        if segment != "+" && segment != part {
            return false;
        }
    }
    true
}

/// What a request wants under the rules of its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The path, in its one form.
    pub path: Box<str>,
    /// What is to be done with it.
    pub capability: Capability,
    /// Whether the path demands `sudo` beside it.
    pub sudo: bool,
    /// The parameters of a write: names in lower case, texts without quotes, anything else as JSON.
    pub parameters: Option<Vec<(String, String)>>,
    /// For how long the answer is to be wrapped.
    pub wrap: Option<Duration>,
}

impl Wanted {
    /// `capability` at `path`, and nothing more.
    pub fn only(path: &str, capability: Capability) -> Self {
        Self { path: path.into(), capability, sudo: false, parameters: None, wrap: None }
    }
}

/// The rules of a token, together with what this one request wants under them. Authentication makes it without a
/// path, and then it lets nothing through; the face that speaks the dialect says the path.
#[derive(Clone)]
pub struct Fence {
    rules: Arc<Rules>,
    wanted: Option<Arc<Wanted>>,
}

impl Fence {
    /// A fence of these rules that lets nothing through yet.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self { rules, wanted: None }
    }

    /// The same rules, asked about `capability` at `path`.
    #[must_use]
    pub fn at(&self, path: &str, capability: Capability) -> Self {
        self.wanting(Wanted::only(path, capability))
    }

    /// The same rules, asked about all of this.
    #[must_use]
    pub fn wanting(&self, wanted: Wanted) -> Self {
        Self { rules: Arc::clone(&self.rules), wanted: Some(Arc::new(wanted)) }
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether they allow what is wanted.
    pub fn permits(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| self.rules.permit(wanted))
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = self.wanted.as_ref().map(|wanted| (&wanted.path, wanted.capability));
        f.debug_struct("Fence").field("wanted", &wanted).finish_non_exhaustive()
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

    #[test]
    fn an_exact_rule_of_the_folder_comes_before_any_wildcard() {
        let rules = Rules::new([Rule::allow("a/b", vec![List]), Rule::deny("a/*")]);
        assert!(rules.allow("a/b/", List) && !rules.allow("a/b/c", List));
    }

    #[test]
    fn a_path_that_demands_sudo_needs_it_beside() {
        let sudo = |rules: &Rules| rules.permit(&Wanted { sudo: true, ..Wanted::only("sys/x", Update) });
        assert!(!sudo(&rules(&[("sys/*", &[Update])])));
        assert!(sudo(&rules(&[("sys/*", &[Update, Capability::Sudo])])));
    }

    fn write(parameters: &[(&str, &str)]) -> Wanted {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Wanted { parameters: Some(parameters.collect()), ..Wanted::only("a", Update) }
    }

    fn values(all: &[(&str, &[&str])]) -> BTreeMap<String, Values> {
        let own = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        all.iter().map(|(name, some)| ((*name).to_owned(), own(some))).collect()
    }

    #[test]
    fn parameters_are_allowed_denied_and_required_by_name_and_value() {
        let demanding = |demands| Rules::new([Rule::allow("a", vec![Update]).demanding(demands)]);
        let allowed =
            demanding(Demands { allowed: values(&[("x", &["1", "a*"]), ("y", &[])]), ..Demands::default() });
        assert!(
            allowed.permit(&write(&[("x", "1"), ("y", "any")])) && allowed.permit(&write(&[("x", "abc")]))
        );
        assert!(!allowed.permit(&write(&[("x", "2")])) && !allowed.permit(&write(&[("z", "1")])));
        let denied =
            demanding(Demands { denied: values(&[("x", &["1"]), ("y", &[])]), ..Demands::default() });
        assert!(denied.permit(&write(&[("x", "2"), ("z", "1")])));
        assert!(!denied.permit(&write(&[("x", "1")])) && !denied.permit(&write(&[("y", "z")])));
        let required = demanding(Demands { required: vec!["x".to_owned()], ..Demands::default() });
        assert!(required.permit(&write(&[("x", "")])) && !required.permit(&write(&[("y", "")])));
    }

    #[test]
    fn an_answer_that_must_be_wrapped_is_not_given_plainly() {
        let demands = Demands { longest_wrap: Some(Duration::from_mins(1)), ..Demands::default() };
        let rules = Rules::new([Rule::allow("a", vec![Read]).demanding(demands)]);
        let wrapped = |seconds| {
            rules.permit(&Wanted { wrap: Some(Duration::from_secs(seconds)), ..Wanted::only("a", Read) })
        };
        assert!(!rules.allow("a", Read) && wrapped(60) && !wrapped(61) && !wrapped(0));
    }

    #[test]
    fn something_below_a_mount_is_reached_by_any_rule_about_it() {
        let rules = rules(&[("kv/data/a/*", &[Read]), ("+/x", &[Read]), ("sec*", &[Read])]);
        assert!(rules.reach_below("kv/") && rules.reach_below("other/") && rules.reach_below("secret/"));
        assert!(rules.reach_below("kv/data/a/b") && !rules.reach_below("kv/data/b/"));
        assert!(!Rules::new([Rule::deny("kv/*")]).reach_below("kv/"));
    }
}
