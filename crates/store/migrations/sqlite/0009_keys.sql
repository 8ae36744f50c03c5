-- Keys that are used by name. `space` keeps the keys of one engine of the Vault dialect apart from those of another;
-- it is empty for the native surface.
CREATE TABLE named_keys (
  tenant_id BLOB NOT NULL,
  key_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  space TEXT NOT NULL,
  name TEXT NOT NULL,
  algorithm TEXT NOT NULL,
  purpose TEXT NOT NULL CHECK (purpose IN ('encryption', 'signing', 'hmac')),
  description TEXT,
  labels TEXT NOT NULL,
  tags TEXT NOT NULL,
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  derived INTEGER NOT NULL CHECK (derived IN (0, 1)),
  convergent INTEGER NOT NULL CHECK (convergent IN (0, 1)),
  exportable INTEGER NOT NULL CHECK (exportable IN (0, 1)),
  backupable INTEGER NOT NULL CHECK (backupable IN (0, 1)),
  deletable INTEGER NOT NULL CHECK (deletable IN (0, 1)),
  imported INTEGER NOT NULL CHECK (imported IN (0, 1)),
  latest_version INTEGER NOT NULL CHECK (latest_version > 0),
  -- The oldest version that decrypts and verifies.
  min_decryption_version INTEGER NOT NULL CHECK (min_decryption_version > 0),
  -- The oldest version that may be chosen to encrypt and sign; 0 for any.
  min_encryption_version INTEGER NOT NULL CHECK (min_encryption_version >= 0),
  -- Older versions were trimmed.
  min_available_version INTEGER NOT NULL CHECK (min_available_version > 0),
  rotate_seconds INTEGER CHECK (rotate_seconds > 0),
  -- When the next version is due.
  rotate_at INTEGER,
  rotated_at INTEGER,
  expires_at INTEGER,
  -- When the key is destroyed.
  delete_at INTEGER,
  created_by BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, key_id)
) STRICT;
CREATE UNIQUE INDEX named_keys_by_name ON named_keys (tenant_id, environment_id, space, name);
CREATE INDEX named_keys_by_rotation ON named_keys (rotate_at) WHERE rotate_at IS NOT NULL;
CREATE INDEX named_keys_by_end ON named_keys (delete_at) WHERE delete_at IS NOT NULL;

-- Versions of a key, sealed under the tenant's keys.
CREATE TABLE key_versions (
  tenant_id BLOB NOT NULL,
  key_id BLOB NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  version_id BLOB NOT NULL,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, key_id, version)
) STRICT;

-- The key that is meant when none is named.
CREATE TABLE default_keys (
  tenant_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  purpose TEXT NOT NULL CHECK (purpose IN ('encryption', 'signing', 'hmac')),
  key_id BLOB NOT NULL,
  PRIMARY KEY (tenant_id, environment_id, purpose)
) STRICT;

-- Keys to which others wrap a key that they bring: one for each kind.
CREATE TABLE wrapping_keys (
  tenant_id BLOB NOT NULL,
  kind TEXT NOT NULL,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, kind)
) STRICT;

-- Tables of customers whose columns are encrypted.
CREATE TABLE field_sets (
  tenant_id BLOB NOT NULL,
  set_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  name TEXT NOT NULL,
  key_id BLOB NOT NULL,
  columns TEXT NOT NULL,
  index_version INTEGER NOT NULL CHECK (index_version > 0),
  created_by BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, set_id)
) STRICT;
CREATE UNIQUE INDEX field_sets_by_name ON field_sets (tenant_id, environment_id, name);

-- Keys of the blind index of a field set. The one before the newest still finds what is not yet indexed anew.
CREATE TABLE field_indexes (
  tenant_id BLOB NOT NULL,
  set_id BLOB NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, set_id, version)
) STRICT;

-- How far a migration is, as whoever migrates reports it.
CREATE TABLE field_progress (
  tenant_id BLOB NOT NULL,
  set_id BLOB NOT NULL,
  column_name TEXT NOT NULL,
  total INTEGER NOT NULL CHECK (total >= 0),
  encrypted INTEGER NOT NULL CHECK (encrypted >= 0),
  resume_at TEXT,
  reported_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, set_id, column_name)
) STRICT;
