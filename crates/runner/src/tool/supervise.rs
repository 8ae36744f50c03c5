//! Watching over a running tool: its output streamed with back-pressure, its time and volume bounded, and
//! its end enforced.

use std::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use writ_kernel::Result;

use super::events::Events;
use crate::sandbox::{Exit, Process};

/// The most bytes of one chunk.
const CHUNK: usize = 16 << 10;
/// A program younger than this is not sent SIGTERM yet: the first process of a namespace does not get a
/// signal it has no handler for, and the tool needs a moment to install its own.
const SETTLE: Duration = Duration::from_millis(300);
/// How long the launcher may take to kill everything.
const KILL_PATIENCE: Duration = Duration::from_secs(15);
/// How long the last output may wait for its taker.
const DRAIN: Duration = Duration::from_secs(30);

/// Which output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Some output, cut anywhere; not redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it was written to.
    pub stream: Stream,
    /// At most 16 KiB.
    pub bytes: Bytes,
}

/// Why a tool was stopped before it ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stop {
    /// Somebody asked for it.
    Cancelled,
    /// Its time was up.
    TimedOut,
    /// It printed more than allowed.
    OutputLimit,
}

/// How long and how much a step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From start to the first signal.
    pub timeout: Duration,
    /// From SIGTERM to SIGKILL. An apply needs it to let a resource finish and to save its state.
    pub grace: Duration,
    /// Bytes of output passed on.
    pub output: u64,
    /// Bytes of a document taken into memory (plan, state, outputs).
    pub document: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            timeout: Duration::from_hours(1),
            grace: Duration::from_mins(2),
            output: 64 << 20,
            document: 256 << 20,
        }
    }
}

/// Who takes the output, and who may stop the tool.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Takes the output. Its bound is the back-pressure: the tool waits while it is full. When the receiver
    /// is gone, output is discarded and the tool goes on.
    pub sink: mpsc::Sender<Chunk>,
    /// Cancelling it stops the tool.
    pub cancel: CancellationToken,
    /// Time and volume.
    pub bounds: Bounds,
}

/// What is done with one stream.
#[derive(Debug)]
pub(super) enum Ear {
    /// Passed to the sink, and listened to.
    Open(Box<Events>),
    /// Kept in memory; it is a document, perhaps with secrets.
    Keep(Vec<u8>),
}

impl Ear {
    pub(super) fn open() -> Self {
        Self::Open(Box::default())
    }
}

/// How a watched program ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) stopped: Option<Stop>,
    pub(super) truncated: bool,
}

/// Runs `process` to its end. When this returns or is dropped, nothing it started is alive.
pub(super) async fn supervise(
    mut process: Process,
    watch: &Watch,
    out: &mut Ear,
    err: &mut Ear,
) -> Result<Ended> {
    let over = CancellationToken::new();
    let (output, document) =
        (Meter::new(watch.bounds.output, &over), Meter::new(watch.bounds.document, &over));
    let (stdout, stderr) = process.take_output();
    let mut flow = pin!(async {
        tokio::join!(
            pump(stdout, Stream::Stdout, out, watch, &output, &document),
            pump(stderr, Stream::Stderr, err, watch, &output, &document),
        );
    });
    let mut attending = pin!(attend(&mut process, watch, &over));
    let mut flowing = true;
    let (exit, stopped) = loop {
        tokio::select! {
            ended = &mut attending => break ended?,
            () = &mut flow, if flowing => flowing = false,
        }
    };
    let truncated = flowing && timeout(DRAIN, flow).await.is_err();
    Ok(Ended { exit, stopped, truncated })
}

async fn attend(
    process: &mut Process,
    watch: &Watch,
    over: &CancellationToken,
) -> Result<(Exit, Option<Stop>)> {
    let settled = Instant::now() + SETTLE;
    let stop = tokio::select! {
        exit = process.ended() => return Ok((exit?, None)),
        () = watch.cancel.cancelled() => Stop::Cancelled,
        () = over.cancelled() => Stop::OutputLimit,
        () = sleep(watch.bounds.timeout) => Stop::TimedOut,
    };
    if let Some(exit) = within(process, sleep_until(settled)).await {
        return Ok((exit?, Some(stop)));
    }
    process.terminate().await;
    if let Some(exit) = within(process, sleep(watch.bounds.grace)).await {
        return Ok((exit?, Some(stop)));
    }
    process.kill().await;
    if let Some(exit) = within(process, sleep(KILL_PATIENCE)).await {
        return Ok((exit?, Some(stop)));
    }
    process.abandon();
    process.ended().await.map(|exit| (exit, Some(stop)))
}

/// The end of the process, if it comes before `limit`.
async fn within(process: &mut Process, limit: impl Future<Output = ()>) -> Option<Result<Exit>> {
    tokio::select! {
        exit = process.ended() => Some(exit),
        () = limit => None,
    }
}

/// Counts bytes of both streams, and calls for the end when there are too many.
struct Meter<'a> {
    left: AtomicU64,
    over: &'a CancellationToken,
}

impl<'a> Meter<'a> {
    fn new(limit: u64, over: &'a CancellationToken) -> Self {
        Self { left: AtomicU64::new(limit), over }
    }

    /// Whether `length` more bytes are allowed.
    fn admit(&self, length: usize) -> bool {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(length as u64));
        if taken.is_err() {
            self.left.store(0, Ordering::Relaxed);
            self.over.cancel();
        }
        taken.is_ok()
    }
}

/// Reads a stream to its end. Past the bound it reads on and discards, so that the tool can end in order.
async fn pump(
    reader: Option<impl AsyncRead + Unpin>,
    stream: Stream,
    ear: &mut Ear,
    watch: &Watch,
    output: &Meter<'_>,
    document: &Meter<'_>,
) {
    let Some(mut reader) = reader else { return };
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = reader.read(&mut buffer).await.unwrap_or(0);
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        match ear {
            Ear::Keep(kept) if document.admit(read) => kept.extend_from_slice(bytes),
            Ear::Open(events) if output.admit(read) => {
                events.feed(bytes);
                // A receiver that is gone wants no more.
                let _ = watch.sink.send(Chunk { stream, bytes: Bytes::copy_from_slice(bytes) }).await;
            }
            _ => {}
        }
    }
    if let Ear::Open(events) = ear {
        events.end_line();
    }
}
