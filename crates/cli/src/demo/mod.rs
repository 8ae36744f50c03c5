//! The demonstration: the whole path from nothing to `evidence verified`, with a server and runners of its own.

mod house;
mod steps;
mod story;

use writ_crypto::Entropy;

use crate::{
    args::Demo,
    output::{Failure, Output, print},
};

use self::{house::House, steps::Stage, story::Planted};

/// Runs it.
pub(crate) async fn run(options: Demo, output: Output) -> Result<(), Failure> {
    let directory = tempfile::Builder::new()
        .prefix("writ-demo-")
        .tempdir()
        .map_err(|error| Failure::internal("a temporary directory cannot be made", &error))?;
    let tool = options.tool.as_deref().map(std::path::absolute).transpose();
    let tool = tool.map_err(|error| Failure::internal("the tool's path", &error))?;
    let planted = Planted::new(&Entropy::os());
    let house = House::start(directory.path(), tool.as_deref()).await?;
    let stage = Stage { output, house: &house, planted: &planted, directory: directory.path() };
    let played = steps::play(&stage).await;
    if let Err(failure) = played {
        output.note(format!("the server's log: {}", keep(directory)));
        let _ = house.stop().await;
        return Err(failure);
    }
    let address = house.address.clone();
    if options.keep {
        let (pin, place) = (house.pin.clone(), keep(directory));
        let pid = house.keep().unwrap_or_default();
        print(&format!("\nThe server goes on: {address} (pin {pin})\n  data  {place}\n  stop  kill {pid}"));
    } else {
        let drained = house.stop().await?;
        steps::nothing_leaked(directory.path(), &planted, output)?;
        if !drained {
            return Err(Failure::new(1, "drain", "the server did not stop in time"));
        }
        print(&format!("\nThe API was at {address}; `writ demo --keep` leaves it running."));
    }
    print("evidence verified");
    Ok(())
}

fn keep(directory: tempfile::TempDir) -> String {
    directory.keep().display().to_string()
}
