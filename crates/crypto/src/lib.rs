//! All cryptography of Writ: envelopes, key rings, signatures, entropy and secret types
