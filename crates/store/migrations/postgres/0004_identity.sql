CREATE TABLE people (
  tenant_id UUID NOT NULL REFERENCES tenants,
  person_id UUID NOT NULL,
  name TEXT NOT NULL,
  display_name TEXT,
  active BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, person_id),
  UNIQUE (tenant_id, name)
);

CREATE TABLE services (
  tenant_id UUID NOT NULL REFERENCES tenants,
  service_id UUID NOT NULL,
  name TEXT NOT NULL,
  owner UUID NOT NULL,
  purpose TEXT NOT NULL,
  active BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, service_id),
  UNIQUE (tenant_id, name)
);

CREATE TABLE role_bindings (
  tenant_id UUID NOT NULL REFERENCES tenants,
  binding_id UUID NOT NULL,
  principal UUID NOT NULL,
  role TEXT NOT NULL,
  environment_id UUID,
  expires_at BIGINT,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, binding_id)
);
CREATE INDEX role_bindings_by_principal ON role_bindings (tenant_id, principal);

-- What proves a principal: API keys, sessions and enrolment tokens, by the hash of their text.
CREATE TABLE credentials (
  tenant_id UUID NOT NULL REFERENCES tenants,
  credential_id UUID NOT NULL,
  kind TEXT NOT NULL,
  principal UUID NOT NULL,
  principal_kind TEXT NOT NULL,
  hash BYTEA NOT NULL UNIQUE,
  label TEXT,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  last_used_at BIGINT,
  revoked_at BIGINT,
  PRIMARY KEY (tenant_id, credential_id)
);
CREATE INDEX credentials_by_principal ON credentials (tenant_id, principal, kind);
-- tenant-table: people
-- tenant-table: services
-- tenant-table: role_bindings
-- tenant-table: credentials
