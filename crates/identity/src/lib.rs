//! People, services, sessions and API keys
