CREATE TABLE connections (
  tenant_id UUID NOT NULL REFERENCES tenants,
  connection_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  name TEXT NOT NULL,
  target TEXT NOT NULL,
  backend TEXT NOT NULL,
  allowed_providers TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, connection_id),
  UNIQUE (tenant_id, name)
);

CREATE TABLE configurations (
  tenant_id UUID NOT NULL REFERENCES tenants,
  configuration_id UUID NOT NULL,
  digest TEXT NOT NULL,
  files TEXT NOT NULL,
  size BIGINT NOT NULL,
  origin TEXT,
  archive BYTEA NOT NULL,
  author UUID NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, configuration_id)
);

CREATE TABLE deployments (
  tenant_id UUID NOT NULL REFERENCES tenants,
  deployment_id UUID NOT NULL,
  target TEXT NOT NULL,
  environment_id UUID NOT NULL,
  connection_id UUID NOT NULL,
  configuration_id UUID NOT NULL,
  mode TEXT NOT NULL,
  state TEXT NOT NULL,
  author UUID NOT NULL,
  reason TEXT,
  variables BYTEA NOT NULL,
  timeout_seconds BIGINT NOT NULL,
  plan_salt TEXT NOT NULL,
  plan TEXT,
  approval_id UUID,
  outcome TEXT,
  cancel_requested BIGINT NOT NULL,
  output_lines BIGINT NOT NULL,
  trace TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, deployment_id)
);
CREATE INDEX deployments_by_state ON deployments (state, deployment_id);
CREATE INDEX deployments_by_environment ON deployments (tenant_id, environment_id, deployment_id);

CREATE TABLE deployment_keys (
  tenant_id UUID NOT NULL REFERENCES tenants,
  principal UUID NOT NULL,
  idempotency_key TEXT NOT NULL,
  request_digest TEXT NOT NULL,
  deployment_id UUID NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, principal, idempotency_key)
);

-- One life of one runner process. `state`: starting, claimed, finished, lost. `process` names it to its launcher;
-- `gone` is 1 once that has seen it dead.
CREATE TABLE runs (
  tenant_id UUID NOT NULL REFERENCES tenants,
  run_id UUID NOT NULL,
  deployment_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  state TEXT NOT NULL,
  session_hash BYTEA UNIQUE,
  canary TEXT NOT NULL,
  isolation BIGINT,
  permit_id UUID,
  process TEXT,
  gone BIGINT NOT NULL,
  pushes BIGINT NOT NULL,
  heartbeat_at BIGINT NOT NULL,
  deadline BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, run_id)
);
CREATE INDEX runs_by_deployment ON runs (tenant_id, deployment_id);
CREATE INDEX runs_by_state ON runs (state, heartbeat_at);

CREATE TABLE run_output (
  tenant_id UUID NOT NULL REFERENCES tenants,
  deployment_id UUID NOT NULL,
  sequence BIGINT NOT NULL,
  at BIGINT NOT NULL,
  step TEXT NOT NULL,
  line TEXT NOT NULL,
  PRIMARY KEY (tenant_id, deployment_id, sequence)
);

-- Keys that sign run tokens, sealed under the platform's keys. The two newest are accepted.
CREATE TABLE run_token_keys (
  tenant_id UUID NOT NULL REFERENCES tenants,
  key_id UUID NOT NULL,
  sealed BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, key_id)
);

-- tenant-table: connections
-- tenant-table: configurations
-- tenant-table: deployments
-- tenant-table: deployment_keys
-- tenant-table: runs
-- tenant-table: run_output
-- tenant-table: run_token_keys
