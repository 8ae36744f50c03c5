-- A log: the right edge of its tree, and its newest signed checkpoint. `epoch` is the last reign that wrote to it.
CREATE TABLE evidence_logs (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  log TEXT NOT NULL,
  origin TEXT NOT NULL UNIQUE,
  epoch INTEGER NOT NULL,
  size INTEGER NOT NULL,
  frontier BLOB NOT NULL,
  checkpoint TEXT,
  signed_size INTEGER NOT NULL,
  entered_size INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, log)
) STRICT;

-- Hash tiles. The newest one of a level grows; what it held stays as it was.
CREATE TABLE evidence_tiles (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  log TEXT NOT NULL,
  level INTEGER NOT NULL,
  tile INTEGER NOT NULL,
  hashes BLOB NOT NULL,
  PRIMARY KEY (tenant_id, log, level, tile)
) STRICT;

-- Leaves of the log of logs.
CREATE TABLE meta_leaves (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  position INTEGER NOT NULL,
  leaf TEXT NOT NULL,
  PRIMARY KEY (tenant_id, position)
) STRICT;

-- The seeds of the keys that sign checkpoints, sealed.
CREATE TABLE log_keys (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  algorithm TEXT NOT NULL,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, algorithm)
) STRICT;
