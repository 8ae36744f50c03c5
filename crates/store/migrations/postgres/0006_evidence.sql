-- A log: the right edge of its tree, and its newest signed checkpoint. `epoch` is the last reign that wrote to it.
CREATE TABLE evidence_logs (
  tenant_id UUID NOT NULL REFERENCES tenants,
  log TEXT NOT NULL,
  origin TEXT NOT NULL UNIQUE,
  epoch BIGINT NOT NULL,
  size BIGINT NOT NULL,
  frontier BYTEA NOT NULL,
  checkpoint TEXT,
  signed_size BIGINT NOT NULL,
  entered_size BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, log)
);

-- Hash tiles. The newest one of a level grows; what it held stays as it was.
CREATE TABLE evidence_tiles (
  tenant_id UUID NOT NULL REFERENCES tenants,
  log TEXT NOT NULL,
  level BIGINT NOT NULL,
  tile BIGINT NOT NULL,
  hashes BYTEA NOT NULL,
  PRIMARY KEY (tenant_id, log, level, tile)
);

-- Leaves of the log of logs.
CREATE TABLE meta_leaves (
  tenant_id UUID NOT NULL REFERENCES tenants,
  position BIGINT NOT NULL,
  leaf TEXT NOT NULL,
  PRIMARY KEY (tenant_id, position)
);

-- The seeds of the keys that sign checkpoints, sealed.
CREATE TABLE log_keys (
  tenant_id UUID NOT NULL REFERENCES tenants,
  algorithm TEXT NOT NULL,
  sealed BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, algorithm)
);
-- tenant-table: evidence_logs
-- tenant-table: evidence_tiles
-- tenant-table: meta_leaves select, insert
-- tenant-table: log_keys select, insert
