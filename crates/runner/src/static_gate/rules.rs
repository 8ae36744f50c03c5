//! What a module may hold.

use std::net::IpAddr;

use super::{
    GatePolicy, Report, hcl, modules,
    modules::Module,
    paths::{Place, place},
    providers::{self, is_secret, leaves},
    settings,
    tree::{Block, Call, Piece, Text, Value},
};

/// Checks one module by every rule.
pub(super) fn check(module: &Module<'_>, policy: &GatePolicy, report: &mut Report) {
    providers::check(module, policy, report);
    modules::check(module, policy, report);
    for (file, tree) in &module.files {
        tree.body.blocks("terraform").for_each(|block| settings::check(file, block, policy, report));
        for block in tree.body.all_blocks("provisioner") {
            provisioner(file, block, policy, report);
        }
        for block in tree.body.all_blocks("data") {
            data(module, file, block, policy, report);
        }
        for call in &tree.calls {
            function(module, file, call, report);
        }
    }
}

fn provisioner(file: &str, block: &Block, policy: &GatePolicy, report: &mut Report) {
    if !policy.allow_local_exec {
        let kind = block.label(0);
        report.block(
            "provisioner",
            (file, block.line),
            format!("provisioner `{kind}` runs commands or copies files outside of the plan"),
            "use a resource of a provider, or have commands allowed for this connection",
        );
    }
}

fn data(module: &Module<'_>, file: &str, block: &Block, policy: &GatePolicy, report: &mut Report) {
    let (kind, name, at) = (block.label(0), block.label(1), (file, block.line));
    match kind {
        "external" if !policy.allow_external_data => report.block(
            "external-data",
            at,
            format!("data source `external.{name}` runs a program while planning"),
            "give its result as a variable",
        ),
        "http" => {
            let url = block.body.attribute("url");
            let address = url.map_or_else(Text::unknown, |url| match &url.value {
                Value::Text(text) => text.clone(),
                _ => Text::unknown(),
            });
            http(file, url.map_or(block.line, |url| url.line), name, &address, report);
        }
        "terraform_remote_state" => remote_state(module, file, block, report),
        _ => {}
    }
}

/// Requests that would reach the machine itself or the cloud's metadata service.
fn http(file: &str, line: usize, name: &str, address: &Text, report: &mut Report) {
    // The host is known when everything up to the path is.
    let Some(Piece::Known(start)) = address.0.first() else {
        return report.warn(
            "http-data-unknown",
            (file, line),
            format!("where data source `http.{name}` reaches shows only when it is evaluated"),
            "write the address out",
        );
    };
    let whole = address.constant().is_some();
    let host_known = whole || start.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?']));
    let host = start.parse::<reqwest::Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
    match host {
        Some(host) if host_known && is_near(&host) => report.block(
            "http-data-internal",
            (file, line),
            format!("data source `http.{name}` reaches the machine or the metadata service"),
            "the runner's identity is not the configuration's to use",
        ),
        Some(_) if host_known => {}
        _ => report.warn(
            "http-data-unknown",
            (file, line),
            format!("where data source `http.{name}` reaches shows only when it is evaluated"),
            "write the address out",
        ),
    }
}

/// Loopback, link-local, private and the names of metadata services. `host` is in the form a URL parser gives it,
/// with numbers in any notation already made an address.
fn is_near(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            address.is_loopback()
                || address.is_link_local()
                || address.is_private()
                || address.is_unspecified()
        }
        Ok(IpAddr::V6(address)) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.to_ipv4().is_some_and(|address| is_near(&address.to_string()))
        }
        Err(_) => {
            host == "localhost"
                || host.ends_with(".localhost")
                || host.ends_with(".internal")
                || matches!(host, "metadata" | "instance-data")
        }
    }
}

fn remote_state(module: &Module<'_>, file: &str, block: &Block, report: &mut Report) {
    let name = block.label(1);
    for (path, attribute) in leaves(&block.body).iter().filter(|(path, _)| path.starts_with("config.")) {
        let at = (file, attribute.line);
        if is_secret(&attribute.name) && attribute.value.is_written_out() {
            report.block(
                "remote-state-secret",
                at,
                format!("`{path}` of remote state `{name}` is written out"),
                "remove it: the runner borrows credentials for the run",
            );
        }
        let leads = match &attribute.value {
            Value::Text(text) if path == "config.path" => place(text, &module.directory),
            _ => continue,
        };
        if let Place::Outside(how) = leads {
            let message = format!("the path of remote state `{name}` {how}");
            report.block("file-outside", at, message, "read state from a backend");
        }
    }
}

/// Functions that read files, and how many of their first arguments are paths.
const READERS: &[(&str, usize)] = &[
    ("file", 1),
    ("filebase64", 1),
    ("filebase64sha256", 1),
    ("filebase64sha512", 1),
    ("fileexists", 1),
    ("filemd5", 1),
    ("fileset", 2),
    ("filesha1", 1),
    ("filesha256", 1),
    ("filesha512", 1),
    ("templatefile", 1),
];

fn function(module: &Module<'_>, file: &str, call: &Call, report: &mut Report) {
    let at = (file, call.line);
    if call.name == "pathexpand" {
        return report.block(
            "path-expand",
            at,
            "`pathexpand` asks for a home directory",
            "use `path.module`",
        );
    }
    if call.name == "templatestring" {
        return report.warn(
            "template-string",
            at,
            "a template that shows only when it is evaluated",
            "use `templatefile` with a file of the configuration",
        );
    }
    let Some((_, paths)) = READERS.iter().find(|(name, _)| *name == call.name) else { return };
    for path in call.arguments.iter().take(*paths) {
        match place(path, &module.directory) {
            Place::Outside(how) => report.block(
                "file-outside",
                at,
                format!("the path given to `{}` {how}", call.name),
                "read files of the configuration only, by `path.module`",
            ),
            Place::Unknown => report.warn(
                "file-unknown",
                at,
                format!("the path given to `{}` shows only when it is evaluated", call.name),
                "write the path out, by `path.module`",
            ),
            Place::Inside(path) if call.name == "templatefile" => template(module, file, call, &path, report),
            Place::Inside(_) => {}
        }
    }
}

/// A file given to `templatefile` is configuration too: it may call every function.
fn template(module: &Module<'_>, file: &str, call: &Call, path: &str, report: &mut Report) {
    let unparsable = |report: &mut Report, line, why: &str| {
        report.block("unparsable", (path, line), format!("cannot be parsed: {why}"), "mend the template");
    };
    match module.sources.text(path) {
        // It may be made by the run itself, and then nobody has seen it.
        None => report.warn(
            "template-missing",
            (file, call.line),
            "a template that is not in the configuration",
            "put the template into the configuration",
        ),
        Some(Err(why)) => unparsable(report, 0, why),
        Some(Ok(text)) => match hcl::template_calls(&text) {
            Err(malformed) => unparsable(report, malformed.line, &malformed.message),
            // A template cannot call `templatefile`, so this ends here.
            Ok(calls) => {
                for inner in calls.iter().filter(|inner| inner.name != "templatefile") {
                    function(module, path, inner, report);
                }
            }
        },
    }
}
