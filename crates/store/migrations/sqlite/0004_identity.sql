CREATE TABLE people (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  person_id BLOB NOT NULL,
  name TEXT NOT NULL,
  display_name TEXT,
  active INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, person_id),
  UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE services (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  service_id BLOB NOT NULL,
  name TEXT NOT NULL,
  owner BLOB NOT NULL,
  purpose TEXT NOT NULL,
  active INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, service_id),
  UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE role_bindings (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  binding_id BLOB NOT NULL,
  principal BLOB NOT NULL,
  role TEXT NOT NULL,
  environment_id BLOB,
  expires_at INTEGER,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, binding_id)
) STRICT;
CREATE INDEX role_bindings_by_principal ON role_bindings (tenant_id, principal);

-- What proves a principal: API keys, sessions and enrolment tokens, by the hash of their text.
CREATE TABLE credentials (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  credential_id BLOB NOT NULL,
  kind TEXT NOT NULL,
  principal BLOB NOT NULL,
  principal_kind TEXT NOT NULL,
  hash BLOB NOT NULL UNIQUE,
  label TEXT,
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  last_used_at INTEGER,
  revoked_at INTEGER,
  PRIMARY KEY (tenant_id, credential_id)
) STRICT;
CREATE INDEX credentials_by_principal ON credentials (tenant_id, principal, kind);
