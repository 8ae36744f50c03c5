//! Sharing a key among people: Shamir's scheme over GF(2^8), any `threshold` of the shares recover it and
//! fewer reveal nothing.
//!
//! What is shared is the key (32 bytes) and a check value (16 bytes, HMAC-SHA-256 under the key of the
//! set's id and threshold), so that wrong or altered shares are noticed, by nobody but the one who has
//! enough of them.
//!
//! A share: version 1 (1 byte), set id (8), threshold (1), index (1), value (48).
//! Its text form: `writ_share_<index>_<base32>_<checksum>`.

use std::convert::Infallible;

use data_encoding::{BASE32_NOPAD, Encoding};
use rand_core::{TryCryptoRng, TryRng};
use vsss_rs::Gf256;
use writ_kernel::{Error, Result, World};
use zeroize::Zeroizing;

use crate::{
    hash,
    secret::{SecretBytes, SecretKey, SecretString, ct_eq},
    token::checksum,
};

const VERSION: u8 = 1;
const SET_LEN: usize = 8;
const CHECK_LEN: usize = 16;
const VALUE_LEN: usize = SecretKey::LEN + CHECK_LEN;
const TEXT: &str = "writ_share_";
const BASE32: Encoding = BASE32_NOPAD;

/// Splits `secret` into `shares` shares, any `threshold` of which recover it.
///
/// # Errors
/// `share_counts` unless 2 ≤ `threshold` ≤ `shares`.
pub fn split(world: &World, secret: &SecretKey, threshold: u8, shares: u8) -> Result<Vec<SecretBytes>> {
    if threshold < 2 || threshold > shares {
        return Err(Error::invalid(
            "share_counts",
            "the threshold is at least 2 and at most the number of shares",
        ));
    }
    let set = world.bytes::<SET_LEN>();
    let checked = Zeroizing::new([&secret.expose()[..], &check(secret, set, threshold)].concat());
    let points = Gf256::split_bytes(threshold.into(), shares.into(), &*checked, WorldRng(world))
        .map_err(|error| Error::internal(format!("splitting failed: {error}")))?;
    Ok(points
        .into_iter()
        .map(Zeroizing::new)
        .map(|point| SecretBytes::new([&[VERSION][..], &set, &[threshold], &point].concat()))
        .collect())
}

/// Recovers the secret from at least `threshold` shares of one set. A share given twice counts once.
///
/// # Errors
/// `malformed_share`, `mixed_shares`, `too_few_shares`, or `wrong_shares` when they do not fit together.
pub fn combine(shares: &[SecretBytes]) -> Result<SecretKey> {
    let mut parsed = shares.iter().map(|share| Share::parse(share.expose())).collect::<Result<Vec<_>>>()?;
    parsed.sort_by_key(|share| share.index);
    parsed.dedup_by(|a, b| a.index == b.index && ct_eq(a.point, b.point));
    let Some(&Share { set, threshold, .. }) = parsed.first() else {
        return Err(too_few(0, 2));
    };
    if parsed.iter().any(|share| share.set != set || share.threshold != threshold) {
        return Err(Error::invalid("mixed_shares", "these shares are not of one set"));
    }
    if parsed.len() < usize::from(threshold) {
        return Err(too_few(parsed.len(), threshold));
    }
    let points = Zeroizing::new(parsed.iter().map(|share| share.point.to_vec()).collect::<Vec<_>>());
    let checked = Zeroizing::new(Gf256::combine_bytes(&*points).map_err(|_| wrong())?);
    let (secret, found) = checked.split_first_chunk::<{ SecretKey::LEN }>().ok_or_else(wrong)?;
    let secret = SecretKey::new(*secret);
    if !ct_eq(found, &check(&secret, set, threshold)) {
        return Err(wrong());
    }
    Ok(secret)
}

/// The text form of a share, for paper and clipboards.
///
/// # Errors
/// `malformed_share` when it is none.
pub fn encode(share: &SecretBytes) -> Result<SecretString> {
    let Share { index, .. } = Share::parse(share.expose())?;
    let mut body = Zeroizing::new(BASE32.encode(share.expose()));
    body.make_ascii_lowercase();
    let mut text = Zeroizing::new(String::with_capacity(TEXT.len() + 128));
    text.extend([TEXT, &index.to_string(), "_", &body]);
    let sum = checksum(&text);
    text.extend(["_", &sum]);
    Ok(SecretString::new(std::mem::take(&mut *text)))
}

/// Reads the text form of a share. Case and surrounding white space do not matter.
///
/// # Errors
/// `malformed_share` when it is none or was mistyped.
pub fn decode(text: &str) -> Result<SecretBytes> {
    let text = Zeroizing::new(text.trim().to_ascii_lowercase());
    let (body, sum) = text.rsplit_once('_').ok_or_else(malformed)?;
    if !ct_eq(checksum(body).as_bytes(), sum.as_bytes()) {
        return Err(malformed().hint("its checksum is wrong: look for a mistyped character"));
    }
    let (index, value) =
        body.strip_prefix(TEXT).and_then(|rest| rest.split_once('_')).ok_or_else(malformed)?;
    let upper = Zeroizing::new(value.to_ascii_uppercase());
    let share = SecretBytes::new(BASE32.decode(upper.as_bytes()).map_err(|_| malformed())?);
    if Share::parse(share.expose())?.index.to_string() != index {
        return Err(malformed());
    }
    Ok(share)
}

struct Share<'a> {
    set: [u8; SET_LEN],
    threshold: u8,
    index: u8,
    /// The index and the value.
    point: &'a [u8],
}

impl<'a> Share<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (version, rest) = bytes.split_first().ok_or_else(malformed)?;
        let (set, rest) = rest.split_first_chunk().ok_or_else(malformed)?;
        let (threshold, point) = rest.split_first().ok_or_else(malformed)?;
        let (index, value) = point.split_first().ok_or_else(malformed)?;
        if *version != VERSION || *threshold < 2 || *index == 0 || value.len() != VALUE_LEN {
            return Err(malformed());
        }
        Ok(Self { set: *set, threshold: *threshold, index: *index, point })
    }
}

/// What tells the right secret from a wrong one.
fn check(secret: &SecretKey, set: [u8; SET_LEN], threshold: u8) -> [u8; CHECK_LEN] {
    let mac = hash::hmac_sha256(secret.expose(), &[b"writ/share/v1", &set, &[threshold]]);
    let mut check = [0; CHECK_LEN];
    check.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
    check
}

/// [`World`] as the generator that vsss-rs asks for.
struct WorldRng<'a>(&'a World);

impl TryRng for WorldRng<'_> {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.0.bytes()))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.0.bytes()))
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for WorldRng<'_> {}

fn malformed() -> Error {
    Error::invalid("malformed_share", "this is not a key share")
}

fn wrong() -> Error {
    Error::invalid("wrong_shares", "these shares do not fit together")
}

fn too_few(have: usize, need: u8) -> Error {
    Error::invalid("too_few_shares", format!("{need} different shares are needed, these are {have}"))
}
