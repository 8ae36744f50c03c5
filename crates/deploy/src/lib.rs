//! Cloud connections, preflight, deployments, runner tokens
