//! Providers: which ones are used, and what is written into their blocks.

use std::collections::BTreeMap;

use super::{
    GatePolicy, Report,
    modules::Module,
    tree::{Attribute, Block, Body, Value},
};

const BUILT_IN: &str = "terraform.io/builtin/terraform";

/// Checks the providers that `module` requires, configures or uses.
pub(super) fn check(module: &Module<'_>, policy: &GatePolicy, report: &mut Report) {
    let required = required(module, report);
    let allowed: Vec<String> =
        policy.allowed_providers.iter().filter_map(|source| normalise(source)).collect();
    let judge = |report: &mut Report, file: &str, line: usize, local: &str, source: Option<String>| {
        let shown = source.as_deref().unwrap_or("a malformed source");
        if !source.as_ref().is_some_and(|source| source == BUILT_IN || allowed.contains(source)) {
            report.block(
                "provider-not-allowed",
                (file, line),
                format!("provider `{local}` comes from `{shown}`"),
                "have the provider allowed for this connection, or do without it",
            );
        }
    };
    for (local, entry) in &required {
        judge(report, &entry.file, entry.line, local, entry.source.clone());
    }
    for (file, tree) in &module.files {
        for (local, line) in used(&tree.body) {
            if !required.contains_key(&local) {
                judge(report, file, line, &local, implied(&local));
            }
        }
        tree.body.blocks("provider").for_each(|block| configured(file, block, policy, report));
    }
}

struct Entry {
    file: String,
    line: usize,
    source: Option<String>,
}

/// What `required_providers` say, by local name.
fn required(module: &Module<'_>, report: &mut Report) -> BTreeMap<String, Entry> {
    let mut all: BTreeMap<String, Entry> = BTreeMap::new();
    for (file, tree) in &module.files {
        let settings =
            tree.body.blocks("terraform").flat_map(|block| block.body.blocks("required_providers"));
        for attribute in settings.flat_map(|block| &block.body.attributes) {
            let source = match attribute.value.field("source") {
                Some(value) => value.constant().and_then(|source| normalise(&source)),
                None => implied(&attribute.name),
            };
            let line = attribute.line;
            let entry = Entry { file: file.clone(), line, source: source.clone() };
            // An override file may say it again; if it says something else, nobody knows which one counts.
            if all.insert(attribute.name.clone(), entry).is_some_and(|before| before.source != source) {
                report.block(
                    "provider-ambiguous",
                    (file, line),
                    format!("provider `{}` has two sources", attribute.name),
                    "say it once",
                );
            }
        }
    }
    all
}

/// Local names of providers that are used, with the line of the use.
fn used(body: &Body) -> Vec<(String, usize)> {
    let mut all = Vec::new();
    for block in &body.blocks {
        match block.kind.as_str() {
            "provider" => all.push((block.label(0).to_owned(), block.line)),
            "resource" | "data" | "ephemeral" | "action" | "list" => {
                all.push((type_prefix(block.label(0)), block.line));
                let chosen = block.body.attribute("provider");
                all.extend(chosen.and_then(|chosen| Some((provider_name(&chosen.value)?, chosen.line))));
            }
            "check" => all.extend(used(&block.body)),
            _ => {}
        }
    }
    all
}

/// The local name in `provider = name.alias`, which the JSON syntax writes as text.
fn provider_name(value: &Value) -> Option<String> {
    match value {
        Value::Reference(name) => Some(name.clone()),
        other => other.constant().map(|text| text.split('.').next().unwrap_or_default().to_owned()),
    }
}

fn type_prefix(resource_type: &str) -> String {
    resource_type.split('_').next().unwrap_or_default().to_owned()
}

/// The source of a provider that is named nowhere.
fn implied(local: &str) -> Option<String> {
    if local == "terraform" { Some(BUILT_IN.to_owned()) } else { normalise(local) }
}

/// `[host/]namespace/name` in lower case, without the public registries' host; nothing when it is not one.
fn normalise(source: &str) -> Option<String> {
    let source = source.trim().to_ascii_lowercase();
    let word = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
    };
    let parts: Vec<&str> = source.split('/').collect();
    if !parts.iter().all(|part| word(part)) {
        return None;
    }
    match parts.as_slice() {
        [name] => Some(format!("hashicorp/{name}")),
        [namespace, name] | ["registry.terraform.io" | "registry.opentofu.org", namespace, name] => {
            Some(format!("{namespace}/{name}"))
        }
        [_, _, _] => Some(source),
        _ => None,
    }
}

/// Checks a provider's own block.
fn configured(file: &str, block: &Block, policy: &GatePolicy, report: &mut Report) {
    let name = block.label(0);
    for (path, attribute) in leaves(&block.body) {
        let at = (file, attribute.line);
        if is_secret(&attribute.name) && attribute.value.is_written_out() {
            report.block(
                "provider-secret",
                at,
                format!("`{path}` of provider `{name}` is written out"),
                "leave it out: the runner borrows credentials for the run",
            );
        } else if IDENTITY.contains(&attribute.name.as_str()) {
            report.block(
                "provider-identity",
                at,
                format!("`{path}` of provider `{name}` chooses an identity of its own"),
                "the run has one identity; remove it",
            );
        }
    }
    if !policy.allow_local_exec && runs_commands(&block.body) {
        report.block(
            "provider-exec",
            (file, block.line),
            format!("provider `{name}` runs a command for its credentials"),
            "use a data source that gives a token",
        );
    }
}

/// Attributes with which the AWS provider finds credentials elsewhere, or runs what a shared file names.
const IDENTITY: &[&str] = &[
    "profile",
    "shared_config_files",
    "shared_credentials_file",
    "shared_credentials_files",
    "web_identity_token_file",
];

fn runs_commands(body: &Body) -> bool {
    fn in_value(value: &Value) -> bool {
        match value {
            Value::Object(fields) => {
                fields.iter().any(|field| field.name == "exec" || in_value(&field.value))
            }
            Value::List(values) => values.iter().any(in_value),
            Value::Text(_) | Value::Reference(_) | Value::Unknown => false,
        }
    }
    !body.all_blocks("exec").is_empty()
        || body.attributes.iter().any(|attribute| attribute.name == "exec" || in_value(&attribute.value))
        || body.blocks.iter().any(|block| runs_commands(&block.body))
}

/// Every attribute of `body`, and of blocks and objects within, with its path.
pub(super) fn leaves(body: &Body) -> Vec<(String, &Attribute)> {
    fn add<'a>(attribute: &'a Attribute, prefix: &str, all: &mut Vec<(String, &'a Attribute)>) {
        let path = format!("{prefix}{}", attribute.name);
        in_value(&attribute.value, &format!("{path}."), all);
        all.push((path, attribute));
    }
    fn in_value<'a>(value: &'a Value, prefix: &str, all: &mut Vec<(String, &'a Attribute)>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|field| add(field, prefix, all)),
            Value::List(values) => values.iter().for_each(|value| in_value(value, prefix, all)),
            Value::Text(_) | Value::Reference(_) | Value::Unknown => {}
        }
    }
    fn walk<'a>(body: &'a Body, prefix: &str, all: &mut Vec<(String, &'a Attribute)>) {
        body.attributes.iter().for_each(|attribute| add(attribute, prefix, all));
        body.blocks.iter().for_each(|block| walk(&block.body, &format!("{prefix}{}.", block.kind), all));
    }
    let mut all = Vec::new();
    walk(body, "", &mut all);
    all
}

/// Whether an attribute of this name holds a credential.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

const SECRET_ENDINGS: &[&str] = &[
    "access_key",
    "access_key_id",
    "secret_key",
    "secret_access_key",
    "secret",
    "secret_id",
    "token",
    "password",
    "passwd",
    "passphrase",
    "private_key",
    "client_key",
    "client_certificate",
    "api_key",
    "apikey",
    "encryption_key",
    "customer_key",
    "credentials",
    "conn_str",
    "connection_string",
];
