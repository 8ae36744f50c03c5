//! Streaming redaction of secrets in program output
