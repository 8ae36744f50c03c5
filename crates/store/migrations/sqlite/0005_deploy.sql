CREATE TABLE connections (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  connection_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  name TEXT NOT NULL,
  target TEXT NOT NULL,
  backend TEXT NOT NULL,
  allowed_providers TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, connection_id),
  UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE configurations (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  configuration_id BLOB NOT NULL,
  digest TEXT NOT NULL,
  files TEXT NOT NULL,
  size INTEGER NOT NULL,
  origin TEXT,
  archive BLOB NOT NULL,
  author BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, configuration_id)
) STRICT;

CREATE TABLE deployments (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  deployment_id BLOB NOT NULL,
  target TEXT NOT NULL,
  environment_id BLOB NOT NULL,
  connection_id BLOB NOT NULL,
  configuration_id BLOB NOT NULL,
  mode TEXT NOT NULL,
  state TEXT NOT NULL,
  author BLOB NOT NULL,
  reason TEXT,
  variables BLOB NOT NULL,
  timeout_seconds INTEGER NOT NULL,
  plan_salt TEXT NOT NULL,
  plan TEXT,
  approval_id BLOB,
  outcome TEXT,
  cancel_requested INTEGER NOT NULL,
  output_lines INTEGER NOT NULL,
  trace TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, deployment_id)
) STRICT;
CREATE INDEX deployments_by_state ON deployments (state, deployment_id);
CREATE INDEX deployments_by_environment ON deployments (tenant_id, environment_id, deployment_id);

CREATE TABLE deployment_keys (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  principal BLOB NOT NULL,
  idempotency_key TEXT NOT NULL,
  request_digest TEXT NOT NULL,
  deployment_id BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, principal, idempotency_key)
) STRICT;

-- One life of one runner process. `state`: starting, claimed, finished, lost. `process` names it to its launcher;
-- `gone` is 1 once that has seen it dead.
CREATE TABLE runs (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  run_id BLOB NOT NULL,
  deployment_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  state TEXT NOT NULL,
  session_hash BLOB UNIQUE,
  canary TEXT NOT NULL,
  isolation INTEGER,
  permit_id BLOB,
  process TEXT,
  gone INTEGER NOT NULL,
  pushes INTEGER NOT NULL,
  heartbeat_at INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, run_id)
) STRICT;
CREATE INDEX runs_by_deployment ON runs (tenant_id, deployment_id);
CREATE INDEX runs_by_state ON runs (state, heartbeat_at);

CREATE TABLE run_output (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  deployment_id BLOB NOT NULL,
  sequence INTEGER NOT NULL,
  at INTEGER NOT NULL,
  step TEXT NOT NULL,
  line TEXT NOT NULL,
  PRIMARY KEY (tenant_id, deployment_id, sequence)
) STRICT;

-- Keys that sign run tokens, sealed under the platform's keys. The two newest are accepted.
CREATE TABLE run_token_keys (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  key_id BLOB NOT NULL,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, key_id)
) STRICT;
