-- Counts up with every change of an environment's mounts, path policies or entities.
CREATE TABLE dialect_versions (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  environment_id BLOB NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, environment_id)
) STRICT;

CREATE TABLE dialect_mounts (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  mount_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  class TEXT NOT NULL,
  path TEXT NOT NULL,
  kind TEXT NOT NULL,
  accessor TEXT NOT NULL,
  description TEXT NOT NULL,
  local INTEGER NOT NULL,
  seal_wrap INTEGER NOT NULL,
  external_entropy INTEGER NOT NULL,
  config TEXT NOT NULL,
  options TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, mount_id),
  UNIQUE (tenant_id, environment_id, class, path)
) STRICT;

CREATE TABLE dialect_policies (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  environment_id BLOB NOT NULL,
  name TEXT NOT NULL,
  text TEXT NOT NULL,
  version INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, environment_id, name)
) STRICT;

-- Tokens, by the hash of their text. Lists and maps are JSON, spans are seconds.
CREATE TABLE dialect_tokens (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  token_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  accessor TEXT NOT NULL,
  kind TEXT NOT NULL,
  parent_id BLOB,
  principal BLOB NOT NULL,
  principal_kind TEXT NOT NULL,
  entity_id BLOB,
  policies TEXT NOT NULL,
  identity_policies TEXT NOT NULL,
  display_name TEXT NOT NULL,
  path TEXT NOT NULL,
  metadata TEXT,
  role TEXT NOT NULL,
  cidrs TEXT NOT NULL,
  renewable INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  creation_ttl INTEGER NOT NULL,
  expires_at INTEGER,
  explicit_max_ttl INTEGER NOT NULL,
  max_ttl INTEGER NOT NULL,
  period INTEGER NOT NULL,
  uses INTEGER,
  renewed_at INTEGER,
  revoked_at INTEGER,
  PRIMARY KEY (tenant_id, token_id)
) STRICT;
CREATE INDEX dialect_tokens_by_parent ON dialect_tokens (tenant_id, parent_id);
CREATE INDEX dialect_tokens_by_accessor ON dialect_tokens (tenant_id, environment_id, accessor);
CREATE INDEX dialect_tokens_by_path ON dialect_tokens (tenant_id, environment_id, path);

-- What engines and ways to sign in keep, sealed.
CREATE TABLE dialect_entries (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  mount_id BLOB NOT NULL,
  path TEXT NOT NULL,
  sealed BLOB NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, mount_id, path)
) STRICT;

-- Answers that wait, sealed, for whoever shows their token once.
CREATE TABLE dialect_wraps (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  wrap_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  accessor TEXT NOT NULL,
  sealed BLOB NOT NULL,
  creation_path TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  ttl INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, wrap_id)
) STRICT;
