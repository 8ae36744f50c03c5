CREATE TABLE tenants (
  tenant_id UUID NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  log_id TEXT NOT NULL UNIQUE,
  active BIGINT NOT NULL,
  policy_id UUID,
  created_at BIGINT NOT NULL
);

CREATE TABLE environments (
  tenant_id UUID NOT NULL REFERENCES tenants,
  environment_id UUID NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  required_approvals BIGINT NOT NULL,
  minimum_isolation BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, environment_id),
  UNIQUE (tenant_id, name)
);

CREATE TABLE policy_sets (
  tenant_id UUID NOT NULL REFERENCES tenants,
  policy_id UUID NOT NULL,
  policies TEXT NOT NULL,
  digest TEXT NOT NULL,
  author UUID NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, policy_id)
);

CREATE TABLE approvals (
  tenant_id UUID NOT NULL REFERENCES tenants,
  approval_id UUID NOT NULL,
  action TEXT NOT NULL,
  resource_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  author UUID NOT NULL,
  binding TEXT NOT NULL,
  quorum BIGINT NOT NULL,
  state TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, approval_id)
);
CREATE INDEX approvals_by_resource ON approvals (tenant_id, resource_id);
CREATE INDEX approvals_by_state ON approvals (tenant_id, state, approval_id);

CREATE TABLE approval_votes (
  tenant_id UUID NOT NULL REFERENCES tenants,
  approval_id UUID NOT NULL,
  principal UUID NOT NULL,
  verdict TEXT NOT NULL,
  comment TEXT,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, approval_id, principal)
);

CREATE TABLE evidence_subjects (
  tenant_id UUID NOT NULL REFERENCES tenants,
  subject UUID NOT NULL,
  pseudonym TEXT NOT NULL,
  leaves BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, subject),
  UNIQUE (tenant_id, pseudonym)
);

CREATE TABLE evidence_keys (
  tenant_id UUID NOT NULL REFERENCES tenants,
  key_id UUID NOT NULL,
  subject UUID NOT NULL,
  month BIGINT NOT NULL,
  wrapped BYTEA NOT NULL,
  PRIMARY KEY (tenant_id, key_id),
  UNIQUE (tenant_id, subject, month)
);

CREATE TABLE evidence_leaves (
  tenant_id UUID NOT NULL REFERENCES tenants,
  leaf_id UUID NOT NULL,
  at BIGINT NOT NULL,
  action TEXT NOT NULL,
  outcome TEXT NOT NULL,
  object TEXT,
  trace TEXT NOT NULL,
  leaf TEXT NOT NULL,
  leaf_hash BYTEA NOT NULL,
  key_id UUID NOT NULL,
  payload BYTEA NOT NULL,
  position BIGINT,
  PRIMARY KEY (tenant_id, leaf_id)
);
CREATE UNIQUE INDEX evidence_leaves_by_position ON evidence_leaves (tenant_id, position);
CREATE INDEX evidence_leaves_pending ON evidence_leaves (tenant_id, leaf_id) WHERE position IS NULL;
CREATE INDEX evidence_leaves_by_object ON evidence_leaves (tenant_id, object, leaf_id);
CREATE INDEX evidence_leaves_by_trace ON evidence_leaves (tenant_id, trace, leaf_id);
-- tenant-table: tenants
-- tenant-table: environments
-- tenant-table: policy_sets
-- tenant-table: approvals
-- tenant-table: approval_votes
-- tenant-table: evidence_subjects
-- tenant-table: evidence_keys
-- tenant-table: evidence_leaves
