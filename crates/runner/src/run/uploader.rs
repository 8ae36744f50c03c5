//! Reports on their way: numbered without gaps, in order, each repeated until it is taken.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use writ_crypto::hash::Sha256;
use writ_kernel::{Error, Result, Timestamp};
use writ_wire::{
    deployments::OutputLine,
    runner::{Pulse, PushEvents, PushOutput, RunEvent},
};

use super::{
    binding::written,
    control::{Control, Halt, Why},
};

/// The most reports that wait; who has more to say waits too, and so does the tool.
const WAITING: usize = 2_000;
/// A push has at most this many reports, and at most this many bytes of text before the last of them.
const REPORTS: usize = 200;
const BYTES: usize = 1 << 20;
/// A line waits no longer than this for company.
const LINGER: Duration = Duration::from_millis(250);

/// Something to report.
#[derive(Debug)]
enum Report {
    Line(OutputLine),
    Event(RunEvent),
    /// An event that is pushed alone, and whose answer is wanted.
    Asked(RunEvent, oneshot::Sender<Pulse>),
    /// Answered when everything before it is taken.
    Mark(oneshot::Sender<String>),
}

/// Where reports are handed in. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reports(mpsc::Sender<Report>);

impl Reports {
    /// Hands in a redacted line. Waits while too many are on their way.
    pub(super) async fn line(&self, line: OutputLine) {
        // When the uploader is gone, the run is over and nobody wants it.
        let _ = self.0.send(Report::Line(line)).await;
    }

    /// Hands in an event.
    pub(super) async fn event(&self, event: RunEvent) {
        let _ = self.0.send(Report::Event(event)).await;
    }

    /// Hands in an event and waits for what the control plane answers.
    ///
    /// # Errors
    /// `Unavailable` when the run is over and there never will be an answer.
    pub(super) async fn ask(&self, event: RunEvent) -> Result<Pulse> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Report::Asked(event, answer)).await.map_err(|_| lost())?;
        answered.await.map_err(|_| lost())
    }

    /// Waits until everything handed in before is taken, and gives the SHA-256 of all lines taken so far, each with a
    /// line end: `sha256:<hex>`.
    ///
    /// # Errors
    /// `Unavailable` when the run is over and it never will be.
    pub(super) async fn delivered(&self) -> Result<String> {
        let (mark, reached) = oneshot::channel();
        self.0.send(Report::Mark(mark)).await.map_err(|_| lost())?;
        reached.await.map_err(|_| lost())
    }
}

fn lost() -> Error {
    Error::unavailable("report_lost", "what the runner reports is not taken any more")
}

/// Starts the one task that pushes. It ends when every [`Reports`] is dropped, at a refusal, or when nobody has
/// answered until `give_up`; the last two stop the run.
pub(super) fn start(control: Arc<Control>, halt: Halt, give_up: Timestamp) -> (Reports, JoinHandle<()>) {
    let (send, queue) = mpsc::channel(WAITING);
    (Reports(send), tokio::spawn(push_all(control, halt, give_up, queue)))
}

async fn push_all(control: Arc<Control>, halt: Halt, give_up: Timestamp, mut queue: mpsc::Receiver<Report>) {
    let mut next = queue.recv().await;
    let mut push = 0;
    let mut digest = Sha256::new();
    while let Some(first) = next {
        let (batch, following) = gather(first, &mut queue).await;
        push += u64::from(!matches!(batch, Batch::Mark(_)));
        match deliver(&control, push, batch, &mut digest, give_up).await {
            Ok(Pulse { cancel: false, .. }) => {}
            Ok(Pulse { cancel: true, .. }) => halt.call(Why::Cancelled),
            Err(error) => {
                tracing::error!(%error, "a report was refused");
                return halt.call(Why::Over);
            }
        }
        next = match following {
            Some(report) => Some(report),
            None => queue.recv().await,
        };
    }
}

async fn deliver(
    control: &Control,
    push: u64,
    batch: Batch,
    digest: &mut Sha256,
    give_up: Timestamp,
) -> Result<Pulse> {
    let until = Some(give_up);
    match batch {
        Batch::Lines(lines) => {
            for line in &lines {
                digest.update(line.text.as_bytes());
                digest.update(b"\n");
            }
            control.insist("/runner/v1/output", &PushOutput { push, lines }, until).await
        }
        Batch::Events(events, asked) => {
            let pulse: Pulse =
                control.insist("/runner/v1/events", &PushEvents { push, events }, until).await?;
            // Whoever asked may have gone.
            let _ = asked.map(|asked| asked.send(pulse.clone()));
            Ok(pulse)
        }
        Batch::Mark(mark) => {
            let _ = mark.send(written(&digest.clone().finish()));
            Ok(Pulse { cancel: false, release: None })
        }
    }
}

enum Batch {
    Lines(Vec<OutputLine>),
    Events(Vec<RunEvent>, Option<oneshot::Sender<Pulse>>),
    Mark(oneshot::Sender<String>),
}

/// As many reports of one kind as may go together, and the one after them, if it is here already.
async fn gather(first: Report, queue: &mut mpsc::Receiver<Report>) -> (Batch, Option<Report>) {
    match first {
        Report::Mark(mark) => (Batch::Mark(mark), None),
        Report::Asked(event, asked) => (Batch::Events(vec![event], Some(asked)), None),
        Report::Line(line) => {
            let mut size = line.text.len();
            let mut lines = vec![line];
            let until = Instant::now() + LINGER;
            while lines.len() < REPORTS && size < BYTES {
                match timeout_at(until, queue.recv()).await {
                    Ok(Some(Report::Line(line))) => {
                        size += line.text.len();
                        lines.push(line);
                    }
                    Ok(other) => return (Batch::Lines(lines), other),
                    Err(_) => break,
                }
            }
            (Batch::Lines(lines), None)
        }
        Report::Event(event) => {
            let mut events = vec![event];
            while events.len() < REPORTS {
                match queue.try_recv() {
                    Ok(Report::Event(event)) => events.push(event),
                    Ok(other) => return (Batch::Events(events, None), Some(other)),
                    Err(_) => break,
                }
            }
            (Batch::Events(events, None), None)
        }
    }
}
