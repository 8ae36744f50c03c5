//! How workers go through what is due: some at a time, and whatever becomes of one, the others go on.

use tokio::task::JoinSet;

/// So many are worked on at the same time: one target that does not answer holds up no other.
const AT_ONCE: usize = 8;

/// Does `work` for each of `items`. Dropping the future stops what is under way.
pub(crate) async fn for_each<T, F>(items: Vec<T>, work: impl Fn(T) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    for item in items {
        if running.len() >= AT_ONCE {
            note(running.join_next().await);
        }
        running.spawn(work(item));
    }
    while !running.is_empty() {
        note(running.join_next().await);
    }
}

fn note(ended: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(error)) = ended {
        tracing::error!(%error, "a piece of work broke off");
    }
}
