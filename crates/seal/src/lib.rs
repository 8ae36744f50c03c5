//! The barrier: root-key providers, unsealing and per-tenant keys
