//! What the command line says of itself: completion scripts and the reference.

use std::fmt::Write as _;

use clap::{Arg, Args as Group, Command, CommandFactory as _, ValueEnum};
use clap_complete::Shell;

use crate::{args::Args, output::print};

/// Print a completion script.
#[derive(Debug, Group)]
pub(crate) struct Completion {
    /// The shell.
    #[arg(value_enum)]
    shell: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// `source <(writ completion bash)`
    Bash,
    /// `writ completion zsh > "${fpath[1]}/_writ"`
    Zsh,
    /// `writ completion fish > ~/.config/fish/completions/writ.fish`
    Fish,
}

pub(crate) fn completion(options: &Completion) {
    let shell = match options.shell {
        Kind::Bash => Shell::Bash,
        Kind::Zsh => Shell::Zsh,
        Kind::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "writ", &mut script);
    print(String::from_utf8_lossy(&script).trim_end());
}

/// The reference of all commands, in Markdown.
pub(crate) fn reference() {
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    let mut text = String::from("# The command line\n\nMade by `cargo xtask gen`; do not edit.\n");
    let _ = write!(text, "\n{}\n", paragraph(&root));
    let _ = write!(text, "\n## Options of every command\n\n{}", options(root.get_arguments()));
    for command in visible(&root) {
        describe(&mut text, command, "writ", 2);
    }
    print(text.trim_end());
}

fn describe(text: &mut String, command: &Command, parent: &str, depth: usize) {
    let name = format!("{parent} {}", command.get_name());
    let _ = write!(text, "\n{} {name}\n\n{}\n", "#".repeat(depth), paragraph(command));
    if command.has_subcommands() {
        for child in visible(command) {
            describe(text, child, &name, depth + 1);
        }
        return;
    }
    let own: Vec<_> = command.get_arguments().filter(|arg| !arg.is_global_set()).collect();
    let _ = write!(text, "\n```text\n{}\n```\n", usage(&name, &own));
    let described = options(own);
    if !described.is_empty() {
        let _ = write!(text, "\n{described}");
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

fn paragraph(command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about());
    about.map(ToString::to_string).unwrap_or_default()
}

fn usage(name: &str, args: &[&Arg]) -> String {
    let mut usage = name.to_owned();
    if args.iter().any(|arg| !arg.is_positional() && !is_of_clap(arg)) {
        usage.push_str(" [OPTIONS]");
    }
    for arg in args.iter().filter(|arg| arg.is_required_set()) {
        let _ = write!(usage, " {}", spelling(arg));
    }
    for arg in args.iter().filter(|arg| arg.is_positional() && !arg.is_required_set()) {
        let _ = write!(usage, " [{}]", spelling(arg));
    }
    usage
}

fn options<'a>(args: impl IntoIterator<Item = &'a Arg>) -> String {
    let mut text = String::new();
    for arg in args.into_iter().filter(|arg| !arg.is_hide_set() && !is_of_clap(arg)) {
        let help =
            arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let words: Vec<_> =
            arg.get_possible_values().iter().map(|word| format!("`{}`", word.get_name())).collect();
        let takes = arg.get_action().takes_values() && !words.is_empty();
        let words = if takes { format!(" One of {}.", words.join(", ")) } else { String::new() };
        let variable =
            arg.get_env().map(|name| format!(" Also `{}`.", name.to_string_lossy())).unwrap_or_default();
        let _ = writeln!(text, "- `{}`: {help}{words}{variable}", spelling(arg));
    }
    text
}

fn spelling(arg: &Arg) -> String {
    let value = arg.get_value_names().and_then(|names| names.first()).map(|name| format!("<{name}>"));
    match arg.get_long() {
        None => value.unwrap_or_default(),
        Some(long) if arg.get_action().takes_values() => format!("--{long} {}", value.unwrap_or_default()),
        Some(long) => format!("--{long}"),
    }
}

/// Whether it is one of those that every program has.
fn is_of_clap(arg: &Arg) -> bool {
    ["help", "version"].contains(&arg.get_id().as_str())
}
