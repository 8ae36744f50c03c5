-- Secrets, each at one path of one environment. Paths sort by their bytes.
CREATE TABLE secrets (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  secret_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  path TEXT NOT NULL,
  kind TEXT,
  description TEXT,
  purpose TEXT NOT NULL,
  classification TEXT NOT NULL,
  owner BLOB NOT NULL,
  labels TEXT NOT NULL,
  custom TEXT NOT NULL,
  assumed TEXT NOT NULL,
  expires_at INTEGER,
  rotate_every INTEGER,
  cas_required INTEGER NOT NULL,
  max_versions INTEGER NOT NULL,
  delete_after INTEGER NOT NULL,
  current_version INTEGER NOT NULL,
  oldest_version INTEGER NOT NULL,
  details BLOB,
  revision INTEGER NOT NULL,
  totp INTEGER NOT NULL,
  favourite INTEGER NOT NULL,
  active INTEGER NOT NULL,
  exposed_at INTEGER,
  created_by BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  rotated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, secret_id),
  UNIQUE (tenant_id, environment_id, path)
) STRICT;

-- `sealed` is empty once a version is destroyed.
CREATE TABLE secret_versions (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  secret_id BLOB NOT NULL,
  version INTEGER NOT NULL,
  format TEXT NOT NULL,
  sealed BLOB NOT NULL,
  size INTEGER NOT NULL,
  restored_from INTEGER,
  created_by BLOB NOT NULL,
  created_by_kind TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  deleted_at INTEGER,
  destroyed_at INTEGER,
  PRIMARY KEY (tenant_id, secret_id, version)
) STRICT;

-- Who read what, as far as it has been written down; evidence has every read.
CREATE TABLE secret_readers (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  secret_id BLOB NOT NULL,
  reader BLOB NOT NULL,
  reader_kind TEXT NOT NULL,
  reads INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  last_version INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, secret_id, reader)
) STRICT;

-- Consumers that are told of new versions, and may read what they are bound to.
CREATE TABLE secret_bindings (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  binding_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  secret_id BLOB NOT NULL,
  consumer BLOB NOT NULL,
  name TEXT NOT NULL,
  version INTEGER,
  overlap INTEGER NOT NULL,
  created_by BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, binding_id),
  UNIQUE (tenant_id, environment_id, consumer, name)
) STRICT;
CREATE INDEX secret_bindings_by_secret ON secret_bindings (tenant_id, secret_id);

-- What waits behind a link or a wrapping token, by the hash of its text. `kind`: share, wrap.
CREATE TABLE secret_links (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  link_id BLOB NOT NULL,
  kind TEXT NOT NULL,
  environment_id BLOB NOT NULL,
  secret_id BLOB,
  hash BLOB NOT NULL UNIQUE,
  format TEXT NOT NULL,
  sealed BLOB NOT NULL,
  password BLOB,
  creation_path TEXT NOT NULL,
  ttl INTEGER NOT NULL,
  most INTEGER,
  opened INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  failed_at INTEGER,
  created_by BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER,
  PRIMARY KEY (tenant_id, link_id)
) STRICT;
CREATE INDEX secret_links_by_secret ON secret_links (tenant_id, secret_id, link_id);

-- Requests that were sent with an idempotency key. `digest` is sealed, since it covers values.
CREATE TABLE secret_requests (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  principal BLOB NOT NULL,
  idempotency_key TEXT NOT NULL,
  digest BLOB NOT NULL,
  object_id BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, principal, idempotency_key)
) STRICT;
