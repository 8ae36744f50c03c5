//! Opens the seal at the start, where nobody has to bring anything.

use std::time::Duration;

use writ_kernel::{Error, Result};
use writ_seal::{Device, Pin, Seal};

use crate::config::Hsm;

/// How often a device that is away is looked for.
const LOOK: Duration = Duration::from_secs(10);

/// The device that `config` names, if it names one.
pub(crate) fn device(config: &Hsm) -> Option<Device> {
    let pin = match &config.pin_file {
        Some(file) => Pin::File(file.clone()),
        None => Pin::Variable(config.pin_env.clone()),
    };
    let (token, key) = (config.token.clone(), config.key.clone());
    config.module.clone().map(|module| Device { module, token, key, pin })
}

/// Unseals with the development key file or the device. A device that does not open it leaves the server sealed, and
/// not dead: whoever starts dead servers again would have it asked again and again, and its token locks.
///
/// # Errors
/// When the key file cannot be used, or the database fails.
pub(crate) async fn at_start(seal: &Seal) -> Result<()> {
    match seal.status().await?.protection {
        Some("dev-file") => {
            tracing::warn!(
                "the root key is protected by a development key file: whoever has the disk has the keys"
            );
            seal.unseal(None).await.map(drop)
        }
        Some("pkcs11") => {
            if let Err(error) = seal.unseal(None).await {
                tell(&error);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Waits for a device, or a database, that was away at the start. Ends once the seal is open, whoever opened it, or no
/// device is to open it, and as soon as the device refuses the PIN.
pub(crate) async fn await_device(seal: Seal) {
    while seal.is_closed() {
        match open(&seal).await {
            Ok(()) => return,
            Err(error) if is_refusal(&error) => return tell(&error),
            Err(error) => {
                tracing::debug!(code = error.code(), %error, "the seal does not open; it is tried again");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// Opens the seal, if a device does that.
async fn open(seal: &Seal) -> Result<()> {
    if seal.status().await?.protection == Some("pkcs11") {
        seal.unseal(None).await?;
        tracing::info!("the HSM opened the seal");
    }
    Ok(())
}

/// Only people can help then: with every further try the token may lock, or it has.
fn is_refusal(error: &Error) -> bool {
    ["hsm_pin_wrong", "hsm_pin_locked"].contains(&error.code())
}

fn tell(error: &Error) {
    tracing::error!(code = error.code(), %error, "the HSM does not open the seal: the server stays sealed");
}
