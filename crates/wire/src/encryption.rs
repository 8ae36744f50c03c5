//! What is done with named keys: encrypt, decrypt, sign, verify.
//!
//! Types here that hold a plaintext or a key have no `Debug`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Encrypt.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a plaintext or a key")]
pub struct Encrypt {
    /// What, as text or in base64.
    pub plaintext: String,
    /// `utf8` (unless told) or `base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Which key; the default one unless told.
    #[serde(default, alias = "keyId", skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Uuid>,
    /// Not looked at: the key decides. Kept for clients that send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Associated data, as text: needed again to decrypt.
    #[serde(default, alias = "additionalData", skip_serializing_if = "Option::is_none")]
    pub additional_data: Option<String>,
    /// What the key is derived for, in base64; needed with keys that derive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Which version; the newest unless told.
    #[serde(default, alias = "keyVersion", skip_serializing_if = "Option::is_none")]
    pub key_version: Option<u32>,
    /// The environment, by name or id; the only one the credential can use unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// What was encrypted.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Encrypted {
    /// All that is needed to decrypt, in one opaque text.
    pub encrypted_payload: String,
    /// The ciphertext in base64.
    pub ciphertext: String,
    /// What encapsulates the key of the message, in base64; empty for symmetric keys.
    pub encapsulated_key: String,
    /// The nonce in base64.
    pub nonce: String,
    /// The tag in base64.
    pub tag: String,
    /// The algorithm of the key.
    pub algorithm: String,
    /// The key.
    pub key_id: Uuid,
    /// The version of it.
    pub key_version: u32,
}

/// Decrypt: `encrypted_payload`, or its parts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decrypt {
    /// As it was given.
    #[serde(default, alias = "encryptedPayload", skip_serializing_if = "Option::is_none")]
    pub encrypted_payload: Option<String>,
    /// In base64; or `vault:v<version>:<base64>` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ciphertext: Option<String>,
    /// In base64.
    #[serde(default, alias = "encapsulatedKey", skip_serializing_if = "Option::is_none")]
    pub encapsulated_key: Option<String>,
    /// In base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// In base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The key; with parts only.
    #[serde(default, alias = "keyId", skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Uuid>,
    /// The version of it; with parts only. The newest unless told.
    #[serde(default, alias = "keyVersion", skip_serializing_if = "Option::is_none")]
    pub key_version: Option<u32>,
    /// Associated data, as text: needed again to decrypt.
    #[serde(default, alias = "additionalData", skip_serializing_if = "Option::is_none")]
    pub additional_data: Option<String>,
    /// What the key is derived for, in base64; needed with keys that derive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// `utf8` or `base64`; text if it is any, else base64, unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The environment, by name or id; the only one the credential can use unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// What was decrypted.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_debug_implementations, reason = "holds a plaintext or a key")]
pub struct Decrypted {
    /// The plaintext.
    pub plaintext: String,
    /// `utf8` or `base64`.
    pub encoding: String,
}

/// Sign.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// What, in base64.
    pub data: String,
    /// Which key; the default one unless told.
    #[serde(default, alias = "keyId", skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Uuid>,
    /// A hash like `sha2-512` for RSA and ECDSA keys; names of algorithms are not looked at: the key decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Which version; the newest unless told.
    #[serde(default, alias = "keyVersion", skip_serializing_if = "Option::is_none")]
    pub key_version: Option<u32>,
    /// The environment, by name or id; the only one the credential can use unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// A signature.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Signed {
    /// In base64.
    pub signature: String,
    /// The algorithm of the key.
    pub algorithm: String,
    /// The key.
    pub key_id: Uuid,
    /// The version of it.
    pub key_version: u32,
}

/// Verify a signature.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// What was signed, in base64.
    pub data: String,
    /// In base64, or `vault:v<version>:<base64>`.
    pub signature: String,
    /// Which key; the default one unless told.
    #[serde(default, alias = "keyId", skip_serializing_if = "Option::is_none")]
    pub key_id: Option<Uuid>,
    /// As in signing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// The environment, by name or id; the only one the credential can use unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// Whether a signature is right.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Verified {
    /// Whether it is.
    pub is_valid: bool,
}

/// Encrypt with a named key.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a plaintext or a key")]
pub struct TransitEncrypt {
    /// What, in base64, or as text.
    pub plaintext: String,
    /// `base64` (unless told) or `utf8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// What the key is derived for, in base64; needed with keys that derive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Associated data in base64: needed again to decrypt.
    #[serde(default, alias = "associated_data", skip_serializing_if = "Option::is_none")]
    pub associated_data: Option<String>,
    /// Which version; the newest unless told.
    #[serde(default, alias = "key_version", skip_serializing_if = "Option::is_none")]
    pub key_version: Option<u32>,
}

/// A ciphertext.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransitCiphertext {
    /// `vault:v<version>:<base64>`.
    pub ciphertext: String,
    /// The key.
    pub key_name: String,
    /// The version of it.
    pub key_version: u32,
}

/// Decrypt, or encrypt anew, with a named key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransitDecrypt {
    /// `vault:v<version>:<base64>`.
    pub ciphertext: String,
    /// What the key is derived for, in base64; needed with keys that derive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Associated data in base64: needed again to decrypt.
    #[serde(default, alias = "associated_data", skip_serializing_if = "Option::is_none")]
    pub associated_data: Option<String>,
    /// Which version; the newest unless told.
    #[serde(default, alias = "key_version", skip_serializing_if = "Option::is_none")]
    pub key_version: Option<u32>,
}

/// A plaintext.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a plaintext or a key")]
pub struct TransitPlaintext {
    /// In base64.
    pub plaintext: String,
}

/// Compute a code of authenticity (HMAC).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransitMac {
    /// Of what, in base64.
    pub data: String,
    /// `sha256` (unless told), `sha384`, `sha512`, `sha3-256` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Which version; the newest unless told.
    #[serde(default, alias = "key_version", skip_serializing_if = "Option::is_none")]
    pub key_version: Option<u32>,
}

/// A code of authenticity.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransitMacked {
    /// `vault:v<version>:<base64>`.
    pub hmac: String,
    /// The hash.
    pub algorithm: String,
    /// The version of the key.
    pub key_version: u32,
}

/// Sign with a named key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransitSign {
    /// What, in base64.
    pub data: String,
    /// A hash like `sha2-512`, for RSA and ECDSA keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// `data` is the hash of what is signed. RSA and ECDSA keys.
    #[serde(default)]
    pub prehashed: bool,
    /// `pss` (unless told) or `pkcs1v15`. RSA keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<String>,
    /// `asn1` (unless told) or `jws`. ECDSA keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marshaling: Option<String>,
    /// Which version; the newest unless told.
    #[serde(default, alias = "key_version", skip_serializing_if = "Option::is_none")]
    pub key_version: Option<u32>,
}

/// A signature.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransitSigned {
    /// `vault:v<version>:<base64>`.
    pub signature: String,
    /// The algorithm of the key.
    pub algorithm: String,
    /// The key.
    pub key_name: String,
    /// The version of it.
    pub key_version: u32,
}

/// Verify a signature, or a code of authenticity.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransitVerify {
    /// Of what, in base64.
    pub data: String,
    /// `vault:v<version>:<base64>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// `vault:v<version>:<base64>`, instead of a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<String>,
    /// As it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// As it was made.
    #[serde(default)]
    pub prehashed: bool,
    /// As it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<String>,
    /// As it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marshaling: Option<String>,
}

/// Whether it is right.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransitVerified {
    /// Whether it is.
    pub valid: bool,
}

/// Encrypt up to 1000 items.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_debug_implementations, reason = "holds a plaintext or a key")]
pub struct BatchEncrypt {
    /// The items.
    pub items: Vec<TransitEncrypt>,
}

/// Decrypt up to 1000 items.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchDecrypt {
    /// The items.
    pub items: Vec<TransitDecrypt>,
}

/// What came of one item.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchCiphertext {
    /// Its place in the request.
    pub index: usize,
    /// `vault:v<version>:<base64>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ciphertext: Option<String>,
    /// Why not, as a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why not, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What came of each item.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchEncrypted {
    /// In the order of the request.
    pub results: Vec<BatchCiphertext>,
    /// The key.
    pub key_name: String,
    /// The newest version of it.
    pub key_version: u32,
}

/// What came of one item.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a plaintext or a key")]
pub struct BatchPlaintext {
    /// Its place in the request.
    pub index: usize,
    /// In base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<String>,
    /// Why not, as a stable word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why not, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What came of each item.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_debug_implementations, reason = "holds a plaintext or a key")]
pub struct BatchDecrypted {
    /// In the order of the request.
    pub results: Vec<BatchPlaintext>,
}
