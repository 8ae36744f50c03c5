//! Types that hold a secret: they cannot be printed, serialised, cloned or compared by accident, and they
//! overwrite their memory when they go.
//!
//! ```compile_fail,E0277
//! println!("{:?}", writ_crypto::SecretKey::new([0; 32])); // a secret has no `Debug`
//! ```
//! ```compile_fail,E0277
//! println!("{}", writ_crypto::SecretString::new("hunter2".into())); // nor `Display`
//! ```
//! ```compile_fail,E0599
//! let _ = writ_crypto::SecretBytes::new(vec![1]).clone(); // nor `Clone`
//! ```
//! ```compile_fail,E0369
//! let _ = writ_crypto::SecretString::new("hunter2".into()) == writ_crypto::SecretString::new("hunter2".into()); // nor `==`
//! ```
//! ```compile_fail,E0277
//! serde_json::to_string(&writ_crypto::SecretBytes::new(vec![1])); // nor `Serialize`
//! ```
//!
//! What they do not do: lock pages or protect copies made before a value came here. [`SecretBytes::new`]
//! takes the buffer over without copying it.

use aws_lc_rs::constant_time;
use writ_kernel::{Error, Result, World};
use zeroize::Zeroizing;

/// Whether `a` and `b` are equal, in a time that depends on their lengths alone.
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Secret bytes of any length.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes `bytes` over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it equals `other`, in constant time.
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        ct_eq(&self.0, other)
    }
}

/// Secret text.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// Takes `text` over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it equals `other`, in constant time.
    pub fn ct_eq(&self, other: &str) -> bool {
        ct_eq(self.0.as_bytes(), other.as_bytes())
    }
}

/// A 256-bit key or seed.
#[expect(missing_debug_implementations, reason = "a secret cannot be printed")]
pub struct SecretKey(Zeroizing<[u8; SecretKey::LEN]>);

impl SecretKey {
    /// How many bytes it has.
    pub const LEN: usize = 32;

    /// The key with these bytes.
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A fresh key.
    pub fn generate(world: &World) -> Self {
        let mut key = Self::new([0; Self::LEN]);
        world.fill(&mut *key.0);
        key
    }

    /// The key with these bytes.
    ///
    /// # Errors
    /// `Internal` when there are not exactly 32.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let mut key = Self::new([0; Self::LEN]);
        if bytes.len() != Self::LEN {
            return Err(Error::internal(format!("a key has 32 bytes, these are {}", bytes.len())));
        }
        key.0.copy_from_slice(bytes);
        Ok(key)
    }

    /// The key itself.
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Whether it equals `other`, in constant time.
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        ct_eq(&*self.0, other)
    }
}
