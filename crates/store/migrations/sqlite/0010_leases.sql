-- What makes credentials on demand. The root credential is sealed; `version` is part of what it is sealed with.
CREATE TABLE engines (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  engine_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  name TEXT NOT NULL,
  config TEXT NOT NULL,
  sealed BLOB,
  version INTEGER NOT NULL,
  default_ttl INTEGER NOT NULL,
  max_ttl INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, engine_id),
  UNIQUE (tenant_id, environment_id, name)
) STRICT;

-- What may be borrowed from an engine.
CREATE TABLE engine_roles (
  tenant_id BLOB NOT NULL,
  engine_id BLOB NOT NULL,
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  default_ttl INTEGER NOT NULL,
  max_ttl INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, engine_id, name),
  FOREIGN KEY (tenant_id, engine_id) REFERENCES engines
) STRICT;

-- A borrowed credential: what the target knows it by, never what it is. `next_at` is when the worker looks at it.
CREATE TABLE lent_credentials (
  tenant_id BLOB NOT NULL,
  lease_id BLOB NOT NULL,
  engine_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  role TEXT NOT NULL,
  spec TEXT NOT NULL,
  holder BLOB NOT NULL,
  holder_kind TEXT NOT NULL,
  credential_id BLOB,
  state TEXT NOT NULL,
  handle TEXT NOT NULL,
  renewable INTEGER NOT NULL,
  issued_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  max_expires_at INTEGER NOT NULL,
  next_at INTEGER,
  attempts INTEGER NOT NULL,
  reason TEXT,
  failure TEXT,
  ended_at INTEGER,
  PRIMARY KEY (tenant_id, lease_id),
  FOREIGN KEY (tenant_id, engine_id) REFERENCES engines
) STRICT;
CREATE INDEX leases_due ON lent_credentials (next_at);
CREATE INDEX leases_by_engine ON lent_credentials (tenant_id, engine_id, role, lease_id);
CREATE INDEX leases_by_holder ON lent_credentials (tenant_id, holder, state);

-- Events that consumers act upon, in the order of their commits.
CREATE TABLE events (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  position INTEGER NOT NULL,
  event_id BLOB NOT NULL,
  type TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject BLOB NOT NULL,
  environment_id BLOB,
  envelope TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, position),
  UNIQUE (tenant_id, event_id)
) STRICT;

-- Who is told of events, and what they verify it with.
CREATE TABLE event_hooks (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  hook_id BLOB NOT NULL,
  name TEXT NOT NULL,
  environment_id BLOB NOT NULL,
  url TEXT NOT NULL,
  types TEXT NOT NULL,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, hook_id),
  UNIQUE (tenant_id, environment_id, name)
) STRICT;

-- An event on its way to a hook: `waiting`, `delivered` or `dead`.
CREATE TABLE event_deliveries (
  tenant_id BLOB NOT NULL,
  hook_id BLOB NOT NULL,
  position INTEGER NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  next_at INTEGER,
  failure TEXT,
  PRIMARY KEY (tenant_id, hook_id, position),
  FOREIGN KEY (tenant_id, hook_id) REFERENCES event_hooks ON DELETE CASCADE
) STRICT;
CREATE INDEX event_deliveries_due ON event_deliveries (next_at);

-- How a secret is rotated: by what, and when next.
CREATE TABLE rotators (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  secret_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  spec TEXT NOT NULL,
  sealed BLOB,
  version INTEGER NOT NULL,
  every INTEGER,
  overlap INTEGER NOT NULL,
  next_at INTEGER,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, secret_id)
) STRICT;
CREATE INDEX rotators_due ON rotators (next_at);

-- One rotation on its way, or over. The new value is sealed here until it is current.
CREATE TABLE rotations (
  tenant_id BLOB NOT NULL,
  rotation_id BLOB NOT NULL,
  secret_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  state TEXT NOT NULL,
  cause TEXT NOT NULL,
  case_id BLOB,
  asked_by BLOB NOT NULL,
  spec TEXT NOT NULL,
  sealed BLOB,
  old_version INTEGER,
  new_version INTEGER,
  attempts INTEGER NOT NULL,
  next_at INTEGER,
  failure TEXT,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  PRIMARY KEY (tenant_id, rotation_id)
) STRICT;
CREATE INDEX rotations_due ON rotations (next_at);
CREATE INDEX rotations_by_secret ON rotations (tenant_id, secret_id, state);
