//! The detectors: each looks at the text around a literal and says whether a secret starts there.

mod assignment;
mod token;
mod url;

pub(crate) use assignment::{ASSIGNMENT, is_placeholder, is_secret_field};

use crate::{
    anchors::{Anchor, Anchors},
    extent::Extent,
    view::{More, View},
};

/// How much text before a literal a detector may look at, in bytes.
pub(crate) const LOOK_BEHIND: usize = 128;
/// How much text from a literal on a detector may need before it knows, in bytes.
pub(crate) const LOOK_AHEAD: usize = 4096;

/// A secret that starts at `start` and is known to reach `from`, whence its extent is to be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secret {
    pub(crate) start: usize,
    pub(crate) from: usize,
    pub(crate) extent: Extent,
    pub(crate) kind: &'static str,
}

/// What a detector found; [`More`] if that depends on text yet to come.
pub(crate) type Verdict = Result<Option<Secret>, More>;

/// The ways to recognise a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Detector {
    /// `name = value`, in the forms of HCL, JSON, YAML, environments and flags.
    Assignment,
    /// The new value in `"old" -> "new"`, when the old one was an assigned secret.
    Change,
    /// A literal followed by characters of a class: index into [`token::PREFIXED`].
    Prefixed(u8),
    /// A JSON web token.
    Jwt,
    /// A private-key block.
    PrivateKey,
    /// A private-key block in base64.
    EncodedKey,
    /// A bare secret key of AWS close after a key id.
    NearKeyId,
    /// The password in `scheme://user:password@host`.
    UrlPassword,
    /// The `sig` parameter of a shared access signature.
    Signature,
    /// The credentials of an `Authorization` header.
    Authorization,
}

impl Detector {
    /// Detectors of one lane do not look for secrets within the secrets of that lane.
    pub(crate) const LANES: usize = 10;

    /// The lane of the detector, below [`Detector::LANES`].
    pub(crate) fn lane(self) -> usize {
        match self {
            Self::Assignment => 0,
            Self::Change => 1,
            Self::Prefixed(_) => 2,
            Self::Jwt => 3,
            Self::PrivateKey => 4,
            Self::EncodedKey => 5,
            Self::NearKeyId => 6,
            Self::UrlPassword => 7,
            Self::Signature => 8,
            Self::Authorization => 9,
        }
    }

    /// Whether a secret is announced by the literal at `start..end`.
    pub(crate) fn inspect(self, view: View<'_>, start: usize, end: usize) -> Verdict {
        match self {
            Self::Assignment => assignment::inspect(view, start, end),
            Self::Change => assignment::changed(view, end),
            Self::Prefixed(index) => token::prefixed(view, index, start, end),
            Self::Jwt => token::jwt(view, start),
            Self::PrivateKey => token::private_key(view, start, end),
            Self::EncodedKey => token::encoded_key(view, start),
            Self::NearKeyId => token::near_key_id(view, end),
            Self::UrlPassword => url::password(view, end),
            Self::Signature => url::signature(view, start, end),
            Self::Authorization => url::authorization(view, end),
        }
    }
}

/// The literals of all detectors.
pub(crate) fn standard() -> Anchors {
    use Detector::{
        Assignment, Authorization, Change, EncodedKey, Jwt, NearKeyId, PrivateKey, Signature, UrlPassword,
    };
    let folded = |literal, detector| Anchor { literal, folded: true, detector };
    let plain = |literal, detector| Anchor { literal, folded: false, detector };
    let mut anchors = vec![
        folded("key", Assignment),
        folded("secret", Assignment),
        folded("token", Assignment),
        folded("password", Assignment),
        folded("passwd", Assignment),
        folded("passphrase", Assignment),
        folded("pwd", Assignment),
        plain(" -> \"", Change),
        plain("eyJ", Jwt),
        plain("-----BEGIN ", PrivateKey),
        plain("LS0tLS1CRUdJTi", EncodedKey),
        plain("AKIA", NearKeyId),
        plain("ASIA", NearKeyId),
        plain("://", UrlPassword),
        folded("sig=", Signature),
        folded("authorization", Authorization),
    ];
    anchors.extend(token::PREFIXED.iter().zip(0..).map(|(prefixed, index)| Anchor {
        literal: prefixed.literal,
        folded: prefixed.folded,
        detector: Detector::Prefixed(index),
    }));
    Anchors::new(anchors)
}
