//! Calls the Writ API: retries, tokens, pinned post-quantum TLS
