//! SQL stands in `sql.rs` and in the store, and every statement on a tenant's table names the tenant.

use std::collections::BTreeSet;

use super::migrations::{POSTGRES, SQLITE};
use crate::house::{Finding, House};

/// Crates that may speak SQL in any module.
const FLUENT: [&str; 2] = ["store", "testkit"];

/// Statements that mean every tenant: where, how they begin, and why. Whoever audits isolation reads this list; it only
/// shrinks.
const EVERY_TENANT: [(&str, &str, &str); 26] = [
    (
        "crates/compat/src/sql.rs",
        "SELECT tenant_id FROM tenants WHERE name",
        "a namespace of the dialect names a tenant, before anybody is known",
    ),
    (
        "crates/compat/src/sql/tokens.rs",
        "SELECT tenant_id, token_id, environment_id, accessor, kind, parent_id, principal, principal_kind, entity_id, \
         policies, identity_policies, display_name, path, metadata, role, cidrs, renewable, created_at, creation_ttl, \
         expires_at, explicit_max_ttl, max_ttl, period, uses, renewed_at, revoked_at FROM dialect_tokens WHERE hash",
        "a token's hash tells whose it is",
    ),
    (
        "crates/compat/src/sql/wraps.rs",
        "SELECT tenant_id, wrap_id, environment_id",
        "the hash of a wrapping token tells whose the answer is",
    ),
    (
        "crates/vault/src/sharing/sql.rs",
        "SELECT tenant_id, link_id FROM secret_links",
        "the hash of a link's token tells whose it is",
    ),
    (
        "crates/store/src/jobs.rs",
        "UPDATE jobs SET due_at = $1",
        "a worker takes the oldest job, whoever's it is",
    ),
    (
        "crates/seal/src/sql.rs",
        "SELECT tenant_id, private FROM tenant_keys",
        "a new root key seals every tenant's",
    ),
    (
        "crates/identity/src/sql.rs",
        "SELECT tenant_id, name, created_at FROM tenants",
        "the operator lists the tenants",
    ),
    (
        "crates/identity/src/sql.rs",
        "SELECT tenant_id, credential_id, kind",
        "a token's hash tells whose it is",
    ),
    (
        "crates/deploy/src/sql.rs",
        "SELECT tenant_id, deployment_id FROM deployments",
        "workers find what waits, whoever's it is",
    ),
    (
        "crates/deploy/src/runs/sql.rs",
        "SELECT tenant_id, run_id FROM runs WHERE session_hash",
        "a session's hash tells whose run it is",
    ),
    (
        "crates/deploy/src/runs/sql.rs",
        "SELECT tenant_id, run_id FROM runs WHERE state",
        "a lost run is found for all",
    ),
    (
        "crates/deploy/src/sql.rs",
        "SELECT state, count(*) FROM deployments",
        "operators see how many there are, and nothing of anybody",
    ),
    (
        "crates/deploy/src/runs/sql.rs",
        "SELECT tenant_id, run_id, process FROM runs",
        "a dead process is noticed, whoever's run it was",
    ),
    (
        "crates/deploy/src/runs/sql.rs",
        "SELECT state, count(*) FROM runs",
        "operators see how many there are, and nothing of anybody",
    ),
    (
        "crates/evidence/src/sql.rs",
        "SELECT count(*) FROM evidence_leaves WHERE position IS NULL",
        "operators see how far behind the sequencer is",
    ),
    (
        "crates/evidence/src/sql.rs",
        "SELECT DISTINCT tenant_id FROM evidence_leaves WHERE position IS NULL",
        "the sequencer finds what waits, whoever's it is",
    ),
    (
        "crates/evidence/src/sql.rs",
        "SELECT tenant_id, log FROM evidence_logs WHERE signed_size < size",
        "the sequencer signs every log that grew",
    ),
    (
        "crates/evidence/src/sql.rs",
        "SELECT tenant_id, log, signed_size, checkpoint FROM evidence_logs",
        "the log of logs has the checkpoints of all",
    ),
    (
        "crates/keys/src/sql.rs",
        "SELECT tenant_id, key_id FROM named_keys WHERE rotate_at",
        "the worker finds keys that are due, whoever's they are",
    ),
    (
        "crates/vault/src/leases/sql.rs",
        "SELECT tenant_id, lease_id FROM lent_credentials WHERE next_at",
        "the worker ends what is over, whoever borrowed it",
    ),
    (
        "crates/vault/src/leases/sql.rs",
        "SELECT DISTINCT tenant_id, holder FROM lent_credentials",
        "the worker notices holders that are gone, whoever's they are",
    ),
    (
        "crates/vault/src/leases/sql.rs",
        "SELECT state, count(*), count(failure) FROM lent_credentials",
        "operators see how many there are, and nothing of anybody",
    ),
    (
        "crates/vault/src/events/sql.rs",
        "SELECT tenant_id, hook_id, position, attempts FROM event_deliveries",
        "the worker tells what is due, whoever's hook it is",
    ),
    (
        "crates/vault/src/rotation/sql.rs",
        "SELECT tenant_id, rotation_id FROM rotations WHERE next_at",
        "the worker brings rotations forward, whoever's they are",
    ),
    (
        "crates/vault/src/rotation/sql.rs",
        "SELECT tenant_id, secret_id FROM rotators WHERE next_at",
        "the worker begins rotations that are due, whoever's they are",
    ),
    (
        "crates/deploy/src/errands/sql.rs",
        "SELECT tenant_id, errand_id FROM errands",
        "workers find what waits, whoever's it is",
    ),
];

pub(super) fn stands_in_its_modules(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, code) in house.rust().filter(|(file, _)| file.is_production() && !file.is_module("sql")) {
        if file.owner().is_none_or(|owner| FLUENT.contains(&owner) || owner == "xtask") {
            continue;
        }
        let statements = code.texts().filter(|(_, text)| is_statement(text));
        findings.extend(statements.map(|(line, _)| file.finding(line, "SQL belongs in `sql.rs`")));
    }
    findings
}

pub(super) fn statements_name_the_tenant(house: &House) -> Vec<Finding> {
    let tables = tenant_tables(house);
    let mut findings = Vec::new();
    for (file, code) in house.rust().filter(|(file, _)| file.is_production() && file.owner() != Some("xtask"))
    {
        let statements =
            code.texts().filter(|(_, text)| is_statement(text) && !means_every_tenant(&file.path, text));
        for (line, text) in statements.filter(|(_, text)| !names_the_tenant(text)) {
            if let Some(table) = words(text).find(|word| tables.contains(*word)) {
                findings.push(file.finding(line, format!("`{table}` is a tenant's: say `tenant_id = $1`")));
            }
        }
    }
    findings
}

/// An exception that nothing needs any more goes.
pub(super) fn exceptions_are_needed(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, beginning, _) in EVERY_TENANT {
        let file = house.rust().find(|(file, _)| file.path == place);
        if let Some((file, _)) =
            file.filter(|(_, code)| !code.texts().any(|(_, text)| begins(text, beginning)))
        {
            findings.push(
                file.finding(0, format!("no statement begins `{beginning}`: strike it from `EVERY_TENANT`")),
            );
        }
    }
    findings
}

fn means_every_tenant(path: &str, statement: &str) -> bool {
    EVERY_TENANT.iter().any(|(place, beginning, _)| path == *place && begins(statement, beginning))
}

/// Whether a statement begins so, however its lines are broken.
fn begins(statement: &str, beginning: &str) -> bool {
    statement.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(beginning)
}

/// The tenant is always the first parameter: compared with the column, or inserted into the first.
fn names_the_tenant(statement: &str) -> bool {
    match statement.split_once('(') {
        Some((_, columns)) if statement.starts_with("INSERT") => {
            columns.trim_start().starts_with("tenant_id")
        }
        _ => statement.contains("tenant_id = $1"),
    }
}

/// Tables of the migrations with a column `tenant_id`.
fn tenant_tables(house: &House) -> BTreeSet<String> {
    let migrations =
        house.files.iter().filter(|file| file.path.starts_with(SQLITE) || file.path.starts_with(POSTGRES));
    migrations.flat_map(|file| file.text.split(';')).filter_map(tenant_table).collect()
}

/// The table a statement makes, when it has a column `tenant_id`.
fn tenant_table(statement: &str) -> Option<String> {
    let code: String = statement
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n");
    let mut words = words(&code).skip_while(|word| !word.eq_ignore_ascii_case("create"));
    words.next()?;
    words.next().filter(|word| word.eq_ignore_ascii_case("table"))?;
    let table = words.find(|word| !["if", "not", "exists"].contains(&word.to_lowercase().as_str()))?;
    words.any(|word| word == "tenant_id").then(|| table.into())
}

/// Whether a string begins like a statement on data or on the schema.
fn is_statement(text: &str) -> bool {
    let mut words = words(text);
    let (Some(first), Some(second)) = (words.next(), words.next()) else { return false };
    match first {
        "SELECT" | "WITH" => true,
        "INSERT" => ["INTO", "OR"].contains(&second),
        "DELETE" => second == "FROM",
        "UPDATE" => text.contains(" SET "),
        "CREATE" | "ALTER" | "DROP" => ["TABLE", "INDEX", "UNIQUE", "POLICY", "ROLE"].contains(&second),
        _ => false,
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::fixture::{house, places};

    const MIGRATION: (&str, &str) = (
        "crates/store/migrations/sqlite/0001.sql",
        "-- tenants\nCREATE TABLE IF NOT EXISTS runs (\n  tenant_id BLOB NOT NULL,\n  id BLOB\n) STRICT;\n
         CREATE TABLE meta (name TEXT); -- no tenant_id\nCREATE INDEX runs_by_tenant ON runs (tenant_id);",
    );

    fn found(sql: &str) -> usize {
        statements_name_the_tenant(&house(&[MIGRATION, ("crates/deploy/src/sql.rs", sql)])).len()
    }

    #[test]
    fn a_statement_that_forgets_the_tenant_is_found() {
        assert_eq!(found(r#"const A: &str = "SELECT id FROM runs WHERE id = $2";"#), 1);
        assert_eq!(found(r#"const A: &str = "UPDATE runs SET state = $3 WHERE id = $2";"#), 1);
        assert_eq!(found(r#"const A: &str = concat!("DELETE FROM", " runs");"#), 1);
    }

    #[test]
    fn a_statement_that_names_the_tenant_is_fine() {
        assert_eq!(
            found(r#"const A: &str = "SELECT id FROM runs r WHERE r.tenant_id = $1 AND id = $2";"#),
            0
        );
        assert_eq!(found(r#"const A: &str = "INSERT INTO runs (tenant_id, id) VALUES ($1, $2)";"#), 0);
    }

    #[test]
    fn tables_of_nobody_and_plain_prose_are_left_alone() {
        assert_eq!(
            found(r#"const A: &str = "SELECT name FROM meta"; const B: &str = "Select runs from the list";"#),
            0
        );
    }

    #[test]
    fn reading_the_column_or_joining_by_it_is_not_enough() {
        assert_eq!(found(r#"const A: &str = "SELECT tenant_id FROM runs";"#), 1);
        assert_eq!(
            found(r#"const A: &str = "SELECT 1 FROM runs r JOIN runs s ON r.tenant_id = s.tenant_id";"#),
            1
        );
        assert_eq!(
            found(
                r#"const A: &str = "INSERT INTO runs (id) VALUES ($1) ON CONFLICT (tenant_id) DO NOTHING";"#
            ),
            1
        );
    }

    #[test]
    fn an_exception_is_for_one_statement_and_goes_with_it() {
        let claim = r#"const A: &str = "UPDATE jobs SET due_at = $1 WHERE id = $2"; "#;
        let (jobs, forgetful) = ("crates/store/src/jobs.rs", r#"const B: &str = "DELETE FROM runs";"#);
        assert_eq!(exceptions_are_needed(&house(&[(jobs, claim)])), []);
        assert_eq!(exceptions_are_needed(&house(&[(jobs, forgetful)])).len(), 1);
        assert_eq!(
            statements_name_the_tenant(&house(&[MIGRATION, (jobs, &format!("{claim}{forgetful}"))])).len(),
            1
        );
    }

    #[test]
    fn sql_outside_its_module_is_found() {
        let text = "fn a() { query(\"INSERT INTO runs (tenant_id) VALUES ($1)\"); }";
        let house = house(&[
            ("crates/deploy/src/runs.rs", text),
            ("crates/deploy/src/sql.rs", text),
            ("crates/store/src/jobs.rs", text),
            ("crates/deploy/tests/it/main.rs", text),
        ]);
        assert_eq!(places(&stands_in_its_modules(&house)), ["crates/deploy/src/runs.rs:1"]);
    }
}
