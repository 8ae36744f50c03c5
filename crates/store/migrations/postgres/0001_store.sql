CREATE TABLE jobs (
    id           UUID   NOT NULL PRIMARY KEY,
    tenant_id    UUID   NOT NULL,
    kind         TEXT   NOT NULL,
    key          TEXT   NOT NULL,
    payload      TEXT   NOT NULL,
    due_at       BIGINT NOT NULL,
    attempt      BIGINT NOT NULL,
    max_attempts BIGINT NOT NULL,
    worker       UUID,
    error        TEXT,
    created_at   BIGINT NOT NULL,
    UNIQUE (tenant_id, kind, key)
);
CREATE INDEX jobs_due ON jobs (kind, due_at);
-- tenant-table: jobs

CREATE TABLE leases (
    name       TEXT   NOT NULL PRIMARY KEY,
    holder     UUID   NOT NULL,
    epoch      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
-- system-table: leases
