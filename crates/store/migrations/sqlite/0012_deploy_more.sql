-- Circumstances of the request behind a deployment, sealed JSON: the permit is decided under them.
ALTER TABLE deployments ADD COLUMN asked BLOB;

-- What a run is for: deployment, validation or unlock; the last two have the errand's id in `deployment_id`.
ALTER TABLE runs ADD COLUMN work TEXT NOT NULL DEFAULT 'deployment';

-- What a runner does beside deployments. `kind`: validation, unlock. `state`: queued, running, succeeded, failed,
-- cancelled, lost. `asked` as in deployments. `to_release`, `report` and `outcome` are JSON.
CREATE TABLE errands (
  tenant_id BLOB NOT NULL REFERENCES tenants,
  errand_id BLOB NOT NULL,
  kind TEXT NOT NULL,
  connection_id BLOB NOT NULL,
  environment_id BLOB NOT NULL,
  state TEXT NOT NULL,
  author BLOB NOT NULL,
  asked BLOB NOT NULL,
  to_release TEXT,
  report TEXT NOT NULL,
  outcome TEXT,
  cancel_requested INTEGER NOT NULL,
  trace TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, errand_id)
) STRICT;
CREATE INDEX errands_by_state ON errands (state, errand_id);
CREATE INDEX errands_by_connection ON errands (tenant_id, connection_id, errand_id);
