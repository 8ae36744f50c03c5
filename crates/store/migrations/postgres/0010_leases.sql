-- What makes credentials on demand. The root credential is sealed; `version` is part of what it is sealed with.
CREATE TABLE engines (
  tenant_id UUID NOT NULL REFERENCES tenants,
  engine_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  name TEXT NOT NULL,
  config TEXT NOT NULL,
  sealed BYTEA,
  version BIGINT NOT NULL,
  default_ttl BIGINT NOT NULL,
  max_ttl BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, engine_id),
  UNIQUE (tenant_id, environment_id, name)
);

-- What may be borrowed from an engine.
CREATE TABLE engine_roles (
  tenant_id UUID NOT NULL,
  engine_id UUID NOT NULL,
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  default_ttl BIGINT NOT NULL,
  max_ttl BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, engine_id, name),
  FOREIGN KEY (tenant_id, engine_id) REFERENCES engines
);

-- A borrowed credential: what the target knows it by, never what it is. `next_at` is when the worker looks at it.
CREATE TABLE lent_credentials (
  tenant_id UUID NOT NULL,
  lease_id UUID NOT NULL,
  engine_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  role TEXT NOT NULL,
  spec TEXT NOT NULL,
  holder UUID NOT NULL,
  holder_kind TEXT NOT NULL,
  credential_id UUID,
  state TEXT NOT NULL,
  handle TEXT NOT NULL,
  renewable BIGINT NOT NULL,
  issued_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  max_expires_at BIGINT NOT NULL,
  next_at BIGINT,
  attempts BIGINT NOT NULL,
  reason TEXT,
  failure TEXT,
  ended_at BIGINT,
  PRIMARY KEY (tenant_id, lease_id),
  FOREIGN KEY (tenant_id, engine_id) REFERENCES engines
);
CREATE INDEX leases_due ON lent_credentials (next_at);
CREATE INDEX leases_by_engine ON lent_credentials (tenant_id, engine_id, role, lease_id);
CREATE INDEX leases_by_holder ON lent_credentials (tenant_id, holder, state);

-- Events that consumers act upon, in the order of their commits.
CREATE TABLE events (
  tenant_id UUID NOT NULL REFERENCES tenants,
  position BIGINT NOT NULL,
  event_id UUID NOT NULL,
  type TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject UUID NOT NULL,
  environment_id UUID,
  envelope TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, position),
  UNIQUE (tenant_id, event_id)
);

-- Who is told of events, and what they verify it with.
CREATE TABLE event_hooks (
  tenant_id UUID NOT NULL REFERENCES tenants,
  hook_id UUID NOT NULL,
  name TEXT NOT NULL,
  environment_id UUID NOT NULL,
  url TEXT NOT NULL,
  types TEXT NOT NULL,
  sealed BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, hook_id),
  UNIQUE (tenant_id, environment_id, name)
);

-- An event on its way to a hook: `waiting`, `delivered` or `dead`.
CREATE TABLE event_deliveries (
  tenant_id UUID NOT NULL,
  hook_id UUID NOT NULL,
  position BIGINT NOT NULL,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  next_at BIGINT,
  failure TEXT,
  PRIMARY KEY (tenant_id, hook_id, position),
  FOREIGN KEY (tenant_id, hook_id) REFERENCES event_hooks ON DELETE CASCADE
);
CREATE INDEX event_deliveries_due ON event_deliveries (next_at);

-- How a secret is rotated: by what, and when next.
CREATE TABLE rotators (
  tenant_id UUID NOT NULL REFERENCES tenants,
  secret_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  spec TEXT NOT NULL,
  sealed BYTEA,
  version BIGINT NOT NULL,
  every BIGINT,
  overlap BIGINT NOT NULL,
  next_at BIGINT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, secret_id)
);
CREATE INDEX rotators_due ON rotators (next_at);

-- One rotation on its way, or over. The new value is sealed here until it is current.
CREATE TABLE rotations (
  tenant_id UUID NOT NULL,
  rotation_id UUID NOT NULL,
  secret_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  state TEXT NOT NULL,
  cause TEXT NOT NULL,
  case_id UUID,
  asked_by UUID NOT NULL,
  spec TEXT NOT NULL,
  sealed BYTEA,
  old_version BIGINT,
  new_version BIGINT,
  attempts BIGINT NOT NULL,
  next_at BIGINT,
  failure TEXT,
  created_at BIGINT NOT NULL,
  ended_at BIGINT,
  PRIMARY KEY (tenant_id, rotation_id)
);
CREATE INDEX rotations_due ON rotations (next_at);
CREATE INDEX rotations_by_secret ON rotations (tenant_id, secret_id, state);
-- tenant-table: engines
-- tenant-table: engine_roles
-- tenant-table: lent_credentials
-- tenant-table: events select, insert
-- tenant-table: event_hooks
-- tenant-table: event_deliveries
-- tenant-table: rotators
-- tenant-table: rotations
