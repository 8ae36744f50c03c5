//! Request and response types of the Writ API
