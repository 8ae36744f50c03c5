-- Secrets, each at one path of one environment. Paths sort by their bytes.
CREATE TABLE secrets (
  tenant_id UUID NOT NULL REFERENCES tenants,
  secret_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  path TEXT COLLATE "C" NOT NULL,
  kind TEXT,
  description TEXT,
  purpose TEXT NOT NULL,
  classification TEXT NOT NULL,
  owner UUID NOT NULL,
  labels TEXT NOT NULL,
  custom TEXT NOT NULL,
  assumed TEXT NOT NULL,
  expires_at BIGINT,
  rotate_every BIGINT,
  cas_required BIGINT NOT NULL,
  max_versions BIGINT NOT NULL,
  delete_after BIGINT NOT NULL,
  current_version BIGINT NOT NULL,
  oldest_version BIGINT NOT NULL,
  details BYTEA,
  revision BIGINT NOT NULL,
  totp BIGINT NOT NULL,
  favourite BIGINT NOT NULL,
  active BIGINT NOT NULL,
  exposed_at BIGINT,
  created_by UUID NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  rotated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, secret_id),
  UNIQUE (tenant_id, environment_id, path)
);

-- `sealed` is empty once a version is destroyed.
CREATE TABLE secret_versions (
  tenant_id UUID NOT NULL REFERENCES tenants,
  secret_id UUID NOT NULL,
  version BIGINT NOT NULL,
  format TEXT NOT NULL,
  sealed BYTEA NOT NULL,
  size BIGINT NOT NULL,
  restored_from BIGINT,
  created_by UUID NOT NULL,
  created_by_kind TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  deleted_at BIGINT,
  destroyed_at BIGINT,
  PRIMARY KEY (tenant_id, secret_id, version)
);

-- Who read what, as far as it has been written down; evidence has every read.
CREATE TABLE secret_readers (
  tenant_id UUID NOT NULL REFERENCES tenants,
  secret_id UUID NOT NULL,
  reader UUID NOT NULL,
  reader_kind TEXT NOT NULL,
  reads BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  last_version BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, secret_id, reader)
);

-- Consumers that are told of new versions, and may read what they are bound to.
CREATE TABLE secret_bindings (
  tenant_id UUID NOT NULL REFERENCES tenants,
  binding_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  secret_id UUID NOT NULL,
  consumer UUID NOT NULL,
  name TEXT NOT NULL,
  version BIGINT,
  overlap BIGINT NOT NULL,
  created_by UUID NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, binding_id),
  UNIQUE (tenant_id, environment_id, consumer, name)
);
CREATE INDEX secret_bindings_by_secret ON secret_bindings (tenant_id, secret_id);

-- What waits behind a link or a wrapping token, by the hash of its text. `kind`: share, wrap.
CREATE TABLE secret_links (
  tenant_id UUID NOT NULL REFERENCES tenants,
  link_id UUID NOT NULL,
  kind TEXT NOT NULL,
  environment_id UUID NOT NULL,
  secret_id UUID,
  hash BYTEA NOT NULL UNIQUE,
  format TEXT NOT NULL,
  sealed BYTEA NOT NULL,
  password BYTEA,
  creation_path TEXT NOT NULL,
  ttl BIGINT NOT NULL,
  most BIGINT,
  opened BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  failed_at BIGINT,
  created_by UUID NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT,
  PRIMARY KEY (tenant_id, link_id)
);
CREATE INDEX secret_links_by_secret ON secret_links (tenant_id, secret_id, link_id);

-- Requests that were sent with an idempotency key. `digest` is sealed, since it covers values.
CREATE TABLE secret_requests (
  tenant_id UUID NOT NULL REFERENCES tenants,
  principal UUID NOT NULL,
  idempotency_key TEXT NOT NULL,
  digest BYTEA NOT NULL,
  object_id UUID NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, principal, idempotency_key)
);
-- tenant-table: secrets
-- tenant-table: secret_versions
-- tenant-table: secret_readers
-- tenant-table: secret_bindings
-- tenant-table: secret_links
-- tenant-table: secret_requests
