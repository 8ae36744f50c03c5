//! A whole log to take away, and to verify without us.

use std::{collections::VecDeque, mem};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use writ_gate::{Done, Gate, Receipt, Resource};
use writ_kernel::{Action, Caller, Error, Result};
use writ_merkle::{Layer, Tile, tile};
use writ_wire::evidence::ExportQuery;

use crate::{
    http::Evidence,
    keys::Keys,
    model::LogName,
    proofs::{own_log, vkeys},
    records, sql, tree,
};

/// As much is gathered before it is sent on.
const CHUNK: usize = 64 * 1024;

/// A gzipped tar archive in the making: file by file, as it is being read. Holds nothing in the database between
/// two pieces, and not more than one bundle of records in memory.
pub(crate) struct Export {
    gate: Gate,
    name: LogName,
    size: u64,
    /// Payloads are wanted from this record on …
    from: u64,
    /// … to before this one.
    to: u64,
    mtime: u64,
    /// Written before everything else.
    head: VecDeque<(&'static str, Vec<u8>)>,
    tiles: VecDeque<Tile>,
    archive: Option<tar::Builder<GzEncoder<Vec<u8>>>>,
}

/// Begins an export. It is on record before its first byte leaves.
pub(crate) async fn begin(
    room: &Evidence,
    caller: &Caller,
    wanted: ExportQuery,
) -> Result<(Export, Receipt)> {
    let keys = Keys::open(&room.gate).await?;
    let mut entry = room.gate.enter(caller, Action::EvidenceExport).await?;
    let name = own_log(entry.tx()).await?;
    let log = sql::log(entry.tx(), &name).await?;
    let Some((log, checkpoint)) =
        log.and_then(|log| log.checkpoint.clone().map(|checkpoint| (log, checkpoint)))
    else {
        return Err(entry.not_found("checkpoint").await);
    };
    let size = log.signed_size;
    let (from, to) = (wanted.from.unwrap_or(0), wanted.to.unwrap_or(size).min(size));
    if from > to {
        return Err(
            Error::invalid("empty_range", "`from` is after `to`, or after the end of the log").at("from")
        );
    }
    let grant = entry.admit(Resource::all("log")).await?;
    let now = grant.world().now();
    let about = json!({ "origin": log.origin.as_str(), "size": size, "from": from, "to": to, "at": now });
    let receipt = grant.commit(Done::with(about.clone())).await?;
    let head = [
        ("about.json", format!("{about:#}\n").into_bytes()),
        ("keys", (vkeys(&keys, &log.origin)?.join("\n") + "\n").into_bytes()),
        ("checkpoint", checkpoint.into_bytes()),
    ];
    let export = Export {
        gate: room.gate.clone(),
        name,
        size,
        from,
        to,
        mtime: u64::try_from(now.seconds()).unwrap_or(0),
        head: head.into(),
        tiles: tile::published(0, size).collect(),
        archive: Some(tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()))),
    };
    Ok((export, receipt))
}

impl Export {
    /// The next piece of the archive; `None` when that was all of it.
    ///
    /// # Errors
    /// When the database fails or the seal was closed: then the archive breaks off, and does not unpack.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let Some(archive) = &mut self.archive else { return Ok(None) };
            let gathered = archive.get_mut().get_mut();
            if gathered.len() >= CHUNK {
                return Ok(Some(mem::take(gathered)));
            }
            if let Some((path, bytes)) = self.head.pop_front() {
                self.put(path, &bytes)?;
            } else if let Some(tile) = self.tiles.pop_front() {
                self.put_tile(tile).await?;
            } else {
                let rest =
                    self.archive.take().map(|archive| archive.into_inner().and_then(GzEncoder::finish));
                return rest.transpose().map_err(failed);
            }
        }
    }

    async fn put_tile(&mut self, wanted: Tile) -> Result<()> {
        let mut tx = self.gate.db().read(self.name.tenant).await?;
        let bytes = tree::file(&mut tx, &self.name, self.size, wanted).await?;
        let missing = || Error::internal(format!("`{wanted}` of log {} is missing", self.name.log));
        let bytes = bytes.ok_or_else(missing)?;
        let end = (wanted.first() + u64::from(wanted.width())).min(self.to);
        let first = wanted.first().max(self.from);
        let mut payloads = Vec::new();
        if wanted.layer() == Layer::Entries && first < end {
            for record in sql::records_placed(&mut tx, first, end).await? {
                let payload = records::payload(&self.gate, &mut tx, &record).await?;
                let line = json!({ "index": record.index, "id": record.id, "erased": record.erased, "payload": payload });
                payloads.extend(format!("{line}\n").into_bytes());
            }
        }
        drop(tx);
        self.put(&wanted.to_string(), &bytes)?;
        if payloads.is_empty() { Ok(()) } else { self.put(&payloads_path(wanted.index()), &payloads) }
    }

    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let Some(archive) = &mut self.archive else { return Ok(()) };
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        header.set_mode(0o644);
        header.set_mtime(self.mtime);
        archive.append_data(&mut header, path, bytes).map_err(failed)
    }
}

/// Where the payloads of the 256 records of entry bundle `index` lie.
pub(crate) fn payloads_path(index: u64) -> String {
    format!("payloads/{index:012}.jsonl")
}

fn failed(error: std::io::Error) -> Error {
    Error::internal("an archive in memory").because(error)
}
