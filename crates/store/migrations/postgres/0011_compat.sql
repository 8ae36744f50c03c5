-- Counts up with every change of an environment's mounts, path policies or entities.
CREATE TABLE dialect_versions (
  tenant_id UUID NOT NULL REFERENCES tenants,
  environment_id UUID NOT NULL,
  version BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, environment_id)
);

CREATE TABLE dialect_mounts (
  tenant_id UUID NOT NULL REFERENCES tenants,
  mount_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  class TEXT NOT NULL,
  path TEXT NOT NULL,
  kind TEXT NOT NULL,
  accessor TEXT NOT NULL,
  description TEXT NOT NULL,
  local BIGINT NOT NULL,
  seal_wrap BIGINT NOT NULL,
  external_entropy BIGINT NOT NULL,
  config TEXT NOT NULL,
  options TEXT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, mount_id),
  UNIQUE (tenant_id, environment_id, class, path)
);

CREATE TABLE dialect_policies (
  tenant_id UUID NOT NULL REFERENCES tenants,
  environment_id UUID NOT NULL,
  name TEXT NOT NULL,
  text TEXT NOT NULL,
  version BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, environment_id, name)
);

-- Tokens, by the hash of their text. Lists and maps are JSON, spans are seconds.
CREATE TABLE dialect_tokens (
  tenant_id UUID NOT NULL REFERENCES tenants,
  token_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  hash BYTEA NOT NULL UNIQUE,
  accessor TEXT NOT NULL,
  kind TEXT NOT NULL,
  parent_id UUID,
  principal UUID NOT NULL,
  principal_kind TEXT NOT NULL,
  entity_id UUID,
  policies TEXT NOT NULL,
  identity_policies TEXT NOT NULL,
  display_name TEXT NOT NULL,
  path TEXT NOT NULL,
  metadata TEXT,
  role TEXT NOT NULL,
  cidrs TEXT NOT NULL,
  renewable BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  creation_ttl BIGINT NOT NULL,
  expires_at BIGINT,
  explicit_max_ttl BIGINT NOT NULL,
  max_ttl BIGINT NOT NULL,
  period BIGINT NOT NULL,
  uses BIGINT,
  renewed_at BIGINT,
  revoked_at BIGINT,
  PRIMARY KEY (tenant_id, token_id)
);
CREATE INDEX dialect_tokens_by_parent ON dialect_tokens (tenant_id, parent_id);
CREATE INDEX dialect_tokens_by_accessor ON dialect_tokens (tenant_id, environment_id, accessor);
CREATE INDEX dialect_tokens_by_path ON dialect_tokens (tenant_id, environment_id, path);

-- What engines and ways to sign in keep, sealed.
CREATE TABLE dialect_entries (
  tenant_id UUID NOT NULL REFERENCES tenants,
  mount_id UUID NOT NULL,
  path TEXT NOT NULL,
  sealed BYTEA NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, mount_id, path)
);

-- Answers that wait, sealed, for whoever shows their token once.
CREATE TABLE dialect_wraps (
  tenant_id UUID NOT NULL REFERENCES tenants,
  wrap_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  hash BYTEA NOT NULL UNIQUE,
  accessor TEXT NOT NULL,
  sealed BYTEA NOT NULL,
  creation_path TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  ttl BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, wrap_id)
);
-- tenant-table: dialect_versions
-- tenant-table: dialect_mounts
-- tenant-table: dialect_policies
-- tenant-table: dialect_tokens
-- tenant-table: dialect_entries
-- tenant-table: dialect_wraps
