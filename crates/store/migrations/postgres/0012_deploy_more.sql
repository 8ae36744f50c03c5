-- Circumstances of the request behind a deployment, sealed JSON: the permit is decided under them.
ALTER TABLE deployments ADD COLUMN asked BYTEA;

-- What a run is for: deployment, validation or unlock; the last two have the errand's id in `deployment_id`.
ALTER TABLE runs ADD COLUMN work TEXT NOT NULL DEFAULT 'deployment';

-- What a runner does beside deployments. `kind`: validation, unlock. `state`: queued, running, succeeded, failed,
-- cancelled, lost. `asked` as in deployments. `to_release`, `report` and `outcome` are JSON.
CREATE TABLE errands (
  tenant_id UUID NOT NULL REFERENCES tenants,
  errand_id UUID NOT NULL,
  kind TEXT NOT NULL,
  connection_id UUID NOT NULL,
  environment_id UUID NOT NULL,
  state TEXT NOT NULL,
  author UUID NOT NULL,
  asked BYTEA NOT NULL,
  to_release TEXT,
  report TEXT NOT NULL,
  outcome TEXT,
  cancel_requested BIGINT NOT NULL,
  trace TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, errand_id)
);
CREATE INDEX errands_by_state ON errands (state, errand_id);
CREATE INDEX errands_by_connection ON errands (tenant_id, connection_id, errand_id);

-- tenant-table: errands
