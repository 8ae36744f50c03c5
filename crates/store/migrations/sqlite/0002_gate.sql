CREATE TABLE tenants (
  tenant_id BLOB NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  log_id TEXT NOT NULL UNIQUE,
  active INTEGER NOT NULL,
  policy_id BLOB,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE environments (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  environment_id BLOB NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  required_approvals INTEGER NOT NULL,
  minimum_isolation INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, environment_id),
  UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE policy_sets (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  policy_id BLOB NOT NULL,
  policies TEXT NOT NULL,
  digest TEXT NOT NULL,
  author BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, policy_id)
) STRICT;

CREATE TABLE approvals (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  approval_id BLOB NOT NULL,
  action TEXT NOT NULL,
  resource_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  author BLOB NOT NULL,
  binding TEXT NOT NULL,
  quorum INTEGER NOT NULL,
  state TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, approval_id)
) STRICT;
CREATE INDEX approvals_by_resource ON approvals (tenant_id, resource_id);
CREATE INDEX approvals_by_state ON approvals (tenant_id, state, approval_id);

CREATE TABLE approval_votes (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  approval_id BLOB NOT NULL,
  principal BLOB NOT NULL,
  verdict TEXT NOT NULL,
  comment TEXT,
  at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, approval_id, principal)
) STRICT;

CREATE TABLE evidence_subjects (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  subject BLOB NOT NULL,
  pseudonym TEXT NOT NULL,
  leaves INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, subject),
  UNIQUE (tenant_id, pseudonym)
) STRICT;

CREATE TABLE evidence_keys (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  key_id BLOB NOT NULL,
  subject BLOB NOT NULL,
  month INTEGER NOT NULL,
  wrapped BLOB NOT NULL,
  PRIMARY KEY (tenant_id, key_id),
  UNIQUE (tenant_id, subject, month)
) STRICT;

CREATE TABLE evidence_leaves (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  leaf_id BLOB NOT NULL,
  at INTEGER NOT NULL,
  action TEXT NOT NULL,
  outcome TEXT NOT NULL,
  object TEXT,
  trace TEXT NOT NULL,
  leaf TEXT NOT NULL,
  leaf_hash BLOB NOT NULL,
  key_id BLOB NOT NULL,
  payload BLOB NOT NULL,
  position INTEGER,
  PRIMARY KEY (tenant_id, leaf_id)
) STRICT;
CREATE UNIQUE INDEX evidence_leaves_by_position ON evidence_leaves (tenant_id, position);
CREATE INDEX evidence_leaves_pending ON evidence_leaves (tenant_id, leaf_id) WHERE position IS NULL;
CREATE INDEX evidence_leaves_by_object ON evidence_leaves (tenant_id, object, leaf_id);
CREATE INDEX evidence_leaves_by_trace ON evidence_leaves (tenant_id, trace, leaf_id);
