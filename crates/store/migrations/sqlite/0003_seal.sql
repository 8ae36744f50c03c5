-- How the root key is protected. One row.
CREATE TABLE seal_config (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  protection TEXT NOT NULL
) STRICT;

-- Versions of the root key, sealed under the key that the protection yields. The highest seals.
CREATE TABLE root_keys (
  version INTEGER NOT NULL PRIMARY KEY,
  key_id BLOB NOT NULL,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- The hybrid key pair of a tenant; its private half is sealed under the root key.
CREATE TABLE tenant_keys (
  tenant_id BLOB NOT NULL PRIMARY KEY,
  public BLOB NOT NULL,
  private BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- Data keys of a tenant, wrapped to its hybrid key. The highest version seals.
CREATE TABLE data_keys (
  tenant_id BLOB NOT NULL,
  key_id BLOB NOT NULL,
  version INTEGER NOT NULL,
  wrapped BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, version)
) STRICT;
