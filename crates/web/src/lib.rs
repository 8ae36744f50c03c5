//! Manners of HTTP: problem documents, extractors, TLS, OpenAPI assembly
