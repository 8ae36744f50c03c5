//! Writ beside OpenBao: the same machine, the same run, the same load generator and the same requests, in the dialect
//! both speak. TLS on both; a file of audit there, durable evidence here; a token with the `default` policy on both, as
//! real clients have it.
//!
//! `cargo bench -p writ-cli --bench peer [-- case…]` prints each case at each concurrency and the ratio. `WRIT_BAO` names
//! the binary of OpenBao; else the first `bao` on the path. `WRIT_BENCH_SECONDS` is how long a cell takes (3).
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::too_many_lines,
    reason = "a benchmark reports"
)]

mod cases;
mod load;
mod peers;

use std::time::Duration;

use cases::Case;
use load::Load;
use peers::Peer;

const CONCURRENCY: [usize; 3] = [1, 16, 64];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let seconds = std::env::var("WRIT_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let cell = Duration::from_secs(seconds);
    let mut writ = Peer::writ().await;
    let mut bao = Peer::bao().await;
    println!(
        "start to serving        writ {:>6.0?} ({} MB)   bao {:>6.0?} ({} MB)",
        writ.started_in,
        writ.resident_mb(),
        bao.started_in,
        bao.resident_mb()
    );
    println!(
        "{:<20} {:>3} | {:>8} {:>7} {:>7} {:>7} | {:>8} {:>7} {:>7} {:>7} | {:>6} {:>6}",
        "case",
        "c",
        "writ/s",
        "p50 ms",
        "p99 ms",
        "cpu/1k",
        "bao/s",
        "p50 ms",
        "p99 ms",
        "cpu/1k",
        "ratio",
        "p99"
    );
    for case in cases::all() {
        if !wanted.is_empty() && !wanted.iter().any(|name| case.name.contains(name.as_str())) {
            continue;
        }
        for peer in [&mut writ, &mut bao] {
            peer.prepare(&case).await;
        }
        for concurrency in CONCURRENCY {
            let here = measure(&writ, &case, concurrency, cell).await;
            let there = measure(&bao, &case, concurrency, cell).await;
            println!(
                "{:<20} {concurrency:>3} | {} | {} | {:>6.2} {:>6.2}",
                case.name,
                here.row(),
                there.row(),
                here.per_second / there.per_second,
                here.p99 / there.p99
            );
        }
    }
    println!("resident after all      writ {} MB   bao {} MB", writ.resident_mb(), bao.resident_mb());
}

async fn measure(peer: &Peer, case: &Case, concurrency: usize, cell: Duration) -> Load {
    let before = peer.cpu();
    let mut load = load::run(peer, case, concurrency, cell).await;
    load.cpu_per_thousand = (peer.cpu() - before) / load.requests as f64 * 1_000.0;
    load
}
