-- How the root key is protected. One row.
CREATE TABLE seal_config (
  only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1),
  protection TEXT NOT NULL
);

-- Versions of the root key, sealed under the key that the protection yields. The highest seals.
CREATE TABLE root_keys (
  version BIGINT NOT NULL PRIMARY KEY,
  key_id UUID NOT NULL,
  sealed BYTEA NOT NULL,
  created_at BIGINT NOT NULL
);

-- The hybrid key pair of a tenant; its private half is sealed under the root key.
CREATE TABLE tenant_keys (
  tenant_id UUID NOT NULL PRIMARY KEY,
  public BYTEA NOT NULL,
  private BYTEA NOT NULL,
  created_at BIGINT NOT NULL
);

-- Data keys of a tenant, wrapped to its hybrid key. The highest version seals.
CREATE TABLE data_keys (
  tenant_id UUID NOT NULL,
  key_id UUID NOT NULL,
  version BIGINT NOT NULL,
  wrapped BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, version)
);

-- system-table: seal_config
-- system-table: root_keys
-- tenant-table: tenant_keys
-- tenant-table: data_keys
