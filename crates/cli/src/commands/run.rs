//! One process with secrets, and nothing of them in its output.

use std::{
    io::{self, Write},
    os::unix::process::ExitStatusExt as _,
    process::{ExitCode, ExitStatus, Stdio},
};

use clap::Args as Group;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    signal::unix::{Signal, SignalKind, signal},
};
use writ_redact::{Redactor, Rules, Values};

use crate::{
    commands::{
        Context,
        vault::{self, Where},
    },
    output::Failure,
};

/// Run a program with secrets in its environment.
///
/// The program's output is passed on with the secrets taken out, however they are encoded. Signals are passed on, and
/// writ exits as the program does. The values are in the environment of that one process and nowhere else.
#[derive(Debug, Group)]
pub(crate) struct Run {
    #[command(flatten)]
    place: Where,
    /// A variable and the path of the secret whose value it gets; `NAME=path#member` for one member of a JSON object.
    /// Repeat for more.
    #[arg(long, short, value_name = "NAME=PATH", required = true, value_parser = variable)]
    secret: Vec<Variable>,
    /// Start with an empty environment but for PATH, HOME, LANG and TERM.
    #[arg(long)]
    clean: bool,
    /// Give the program the terminal itself. Then nothing is taken out of its output.
    #[arg(long)]
    unmasked: bool,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Clone)]
struct Variable {
    name: String,
    path: String,
    member: Option<String>,
}

fn variable(text: &str) -> Result<Variable, String> {
    let malformed = || "it is `NAME=path`, or `NAME=path#member`".to_owned();
    let (name, from) = text.split_once('=').ok_or_else(malformed)?;
    let begins = name.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if !begins || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("the name of a variable is letters, digits and underscores".to_owned());
    }
    let (path, member) = match from.split_once('#') {
        Some((path, member)) => (path, Some(member.to_owned())),
        None => (from, None),
    };
    if path.is_empty() {
        return Err(malformed());
    }
    Ok(Variable { name: name.to_owned(), path: path.to_owned(), member })
}

/// What remains of the environment with `--clean`.
const KEPT: [&str; 4] = ["PATH", "HOME", "LANG", "TERM"];

pub(crate) async fn run(context: &Context, options: Run) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    let (program, arguments) = options.command.split_first().ok_or_else(|| Failure::usage("no program"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    if options.clean {
        let kept: Vec<_> = KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect();
        command.env_clear().envs(kept);
    }
    // Whatever may do more than the program itself needs stays here.
    command.env_remove("WRIT_TOKEN");
    let mut known = Values::new();
    for variable in &options.secret {
        let secret = vault::read(&client, &options.place, &variable.path, None).await?;
        let value = vault::value(&secret, variable.member.as_deref())?;
        if value.contains('\0') {
            return Err(Failure::usage(format!("the value for `{}` has a zero byte", variable.name)));
        }
        if !known.add(&variable.path, value.as_bytes()) && !options.unmasked {
            let name = &variable.name;
            context.output.note(format!("`{name}` is too short or too common to be taken out of the output"));
        }
        command.env(&variable.name, &value);
    }
    if !options.unmasked {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        Failure::new(exit, "not_started", format!("`{program}` cannot be started: {error}"))
    })?;
    let rules = Rules::standard();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let masked = async {
        let out = mask(out, io::stdout(), Redactor::new(&rules, &known));
        let err = mask(err, io::stderr(), Redactor::new(&rules, &known));
        tokio::join!(out, err);
    };
    let mut signals = Signals::listen()?;
    let mut masked = std::pin::pin!(masked);
    let mut output_ended = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            number = signals.next() => pass_on(&child, number),
            () = &mut masked, if !output_ended => output_ended = true,
        }
    };
    if !output_ended {
        masked.await;
    }
    let status = status.map_err(|error| Failure::internal("the program cannot be waited for", &error))?;
    Ok(code(status))
}

/// As a shell says it: the program's own code, or 128 and the signal that ended it.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

async fn mask(from: Option<impl AsyncRead + Unpin>, mut to: impl Write, mut redactor: Redactor) {
    let Some(mut from) = from else { return };
    let (mut chunk, mut clean) = (vec![0; 64 * 1024], Vec::new());
    loop {
        let read = from.read(&mut chunk).await.unwrap_or(0);
        clean.clear();
        match chunk.get(..read) {
            Some(bytes) if read > 0 => redactor.push(bytes, &mut clean),
            _ => redactor.finish(&mut clean),
        }
        // Whoever reads no more does not stop the program.
        let _ = to.write_all(&clean).and_then(|()| to.flush());
        if read == 0 {
            return;
        }
    }
}

fn pass_on(child: &tokio::process::Child, signal: rustix::process::Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        // It may have ended just now.
        let _ = rustix::process::kill_process(id, signal);
    }
}

/// The signals that are passed on.
struct Signals(Vec<(Signal, rustix::process::Signal)>);

impl Signals {
    fn listen() -> Result<Self, Failure> {
        use rustix::process::Signal as Number;
        let all = [
            (SignalKind::hangup(), Number::HUP),
            (SignalKind::interrupt(), Number::INT),
            (SignalKind::quit(), Number::QUIT),
            (SignalKind::terminate(), Number::TERM),
            (SignalKind::user_defined1(), Number::USR1),
            (SignalKind::user_defined2(), Number::USR2),
            (SignalKind::window_change(), Number::WINCH),
        ];
        let listening = all.into_iter().map(|(kind, number)| Ok((signal(kind)?, number)));
        let listening = listening.collect::<io::Result<_>>();
        listening.map(Self).map_err(|error| Failure::internal("signals cannot be passed on", &error))
    }

    async fn next(&mut self) -> rustix::process::Signal {
        std::future::poll_fn(|context| {
            for (signal, number) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
