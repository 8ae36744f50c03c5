//! The operations of the OpenAPI document, and for each of them a request that is well formed. What is in the document
//! and not here fails the tests.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::ground::{Answer, Server, ask};

/// One operation of the document.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// Its `operationId`.
    pub(crate) id: String,
    pub(crate) method: Method,
    route: String,
    /// Whether nobody needs to say who they are.
    pub(crate) open: bool,
    /// The content type of its body, if it has one.
    pub(crate) body: Option<String>,
    /// Whether it can do without.
    pub(crate) bare: bool,
    /// What the document says of a body in JSON, with every value made up: of the right form, and perhaps of no sense.
    made_up: Value,
}

static ALL: OnceCell<Vec<Operation>> = OnceCell::const_new();

/// Every operation of the document.
pub(crate) async fn all() -> &'static [Operation] {
    ALL.get_or_init(|| async { read(&serde_json::from_str(&writ_server::openapi().await.unwrap()).unwrap()) })
        .await
}

fn read(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (route, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let content = operation["requestBody"]["content"].as_object();
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                route: route.clone(),
                open: operation["security"] == json!([{}]),
                body: content.and_then(|content| content.keys().next().cloned()),
                bare: operation["requestBody"]["required"] != json!(true),
                made_up: made_up(document, schema),
            });
        }
    }
    let mut ids: Vec<_> = operations.iter().map(|operation| operation.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), operations.len(), "operation ids are unique");
    operations
}

/// The least that fits a schema.
fn made_up(document: &Value, schema: &Value) -> Value {
    let parts = |name: &str| schema[name].as_array().cloned().unwrap_or_default();
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        return made_up(document, &document["components"]["schemas"][name]);
    }
    let mut whole: Vec<Value> = parts("allOf").iter().map(|part| made_up(document, part)).collect();
    if let Some(first) = whole.pop() {
        return whole.into_iter().fold(first, |mut sum, part| {
            part.as_object().unwrap().iter().for_each(|(name, value)| sum[name] = value.clone());
            sum
        });
    }
    if let Some(one) = [parts("oneOf"), parts("anyOf")].concat().iter().find(|it| it["type"] != "null") {
        return made_up(document, one);
    }
    if let Some(first) = parts("enum").first() {
        return first.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match (kind, schema["format"].as_str()) {
        (Some("object"), _) => {
            let names = parts("required");
            let names = names.iter().filter_map(Value::as_str);
            names.map(|name| (name.to_owned(), made_up(document, &schema["properties"][name]))).collect()
        }
        (Some("array"), _) => json!([]),
        (Some("string"), Some("uuid")) => json!(NOTHING),
        (Some("string"), Some("date-time")) => json!(soon()),
        (Some("string"), _) => json!("x"),
        (Some("integer" | "number"), _) => json!(1),
        (Some("boolean"), _) => json!(false),
        _ => Value::Null,
    }
}

impl Operation {
    /// The path, with `id` for its parameters.
    pub(crate) fn path(&self, id: &str) -> String {
        let part = |part: &str| if part.starts_with('{') { id.to_owned() } else { part.to_owned() };
        self.route.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    pub(crate) fn has_id(&self) -> bool {
        self.route.contains('{')
    }

    pub(crate) fn is_json(&self) -> bool {
        self.body.as_deref() == Some("application/json")
    }

    /// Of the vault and the keys: what is asked for here is of the right form, and there is not always such a thing.
    pub(crate) fn is_loose(&self) -> bool {
        const LOOSE: &[&str] = &[
            "bindings",
            "decrypt",
            "encrypt",
            "engines",
            "errands",
            "event-hooks",
            "events",
            "exposures",
            "fields",
            "keys",
            "leases",
            "qrng",
            "rotators",
            "secrets",
            "share",
            "sign",
            "transit",
            "usage",
            "vault",
            "verify",
            "audit-logs",
            "rate-limit",
        ];
        let room = self.route.strip_prefix("/api/v1/").and_then(|rest| rest.split('/').next());
        room.is_some_and(|room| LOOSE.contains(&room))
            || ["release_lock", "validate_connection"].contains(&self.id.as_str())
    }

    /// For runners: called with the token of a run, which only the scheduler gives out.
    pub(crate) fn is_of_runs(&self) -> bool {
        self.route.starts_with("/runner/")
    }

    /// A request that is well formed, with the ids of `things`.
    pub(crate) fn request(&self, server: &Server, things: &Things) -> RequestBuilder {
        let thing = match self.route.strip_prefix("/api/v1/") {
            Some(route) if route.contains("secret}") || route.contains("by-secret/{") => &things.secret,
            Some(route) if route.starts_with("secrets/{") => &things.secret,
            Some(route) if route.starts_with("keys/{") => &things.named_key,
            _ => things.of(&self.id),
        };
        let request = server.request(self.method.clone(), &self.path(thing));
        match self.body.as_deref() {
            None => request,
            Some("application/json") => request.json(&body(&self.id, things)),
            Some(other) => request.header("content-type", other).body(archive()),
        }
    }

    /// The same, as somebody.
    pub(crate) async fn ask(&self, server: &Server, things: &Things, token: &str) -> Answer {
        ask(self.request(server, things).bearer_auth(token)).await
    }
}

/// One of everything in a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Things {
    pub(crate) environment: String,
    pub(crate) person: String,
    pub(crate) service: String,
    pub(crate) binding: String,
    pub(crate) key: String,
    pub(crate) session: String,
    pub(crate) connection: String,
    /// A connection that nothing uses.
    pub(crate) spare: String,
    pub(crate) configuration: String,
    pub(crate) deployment: String,
    pub(crate) secret: String,
    pub(crate) named_key: String,
    /// A record of evidence that its log contains.
    pub(crate) record: String,
    /// The name of the evidence log.
    pub(crate) log: String,
    /// Tells the things made by one sweep from those of another.
    pub(crate) name: String,
    /// An enrolment token that nobody has spent.
    pub(crate) enrolment: String,
}

/// An id of nothing.
pub(crate) const NOTHING: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

impl Things {
    /// Makes one of everything with `token`, whose holder may do everything but audit.
    pub(crate) async fn make(server: &Server, token: &str, name: &str) -> Self {
        let create = async |path: &str, body: Value| {
            let answer = server.post(token, path, &body).await;
            assert_eq!(answer.status, 201, "{path}: {}", answer.text());
            answer.json()
        };
        let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
        let environment = id(&create("/api/v1/environments", json!({ "name": name, "kind": "dev" })).await);
        let created = create("/api/v1/people", json!({ "name": name })).await;
        let person = id(&created["person"]);
        let enrolment = created["enrolmentToken"].as_str().unwrap().to_owned();
        let wanted = json!({ "name": name, "owner": person, "purpose": "to be swept" });
        let service = id(&create("/api/v1/services", wanted).await);
        let binding = json!({ "principal": person, "role": "viewer" });
        let binding = id(&create("/api/v1/role-bindings", binding).await);
        let wanted = json!({ "label": name, "scopes": ["runtime.*"], "expiresAt": soon() });
        let key = id(&create("/api/v1/api-keys", wanted).await["key"]);
        let guest = create("/api/v1/people", json!({ "name": format!("{name}-guest") })).await;
        let session = server.say("/api/v1/sessions", &json!({ "token": guest["enrolmentToken"] })).await;
        let session = id(&session.json()["session"]);
        let wanted = |name: &str| {
            json!({ "name": name, "environment": environment, "target": { "cloud": "local" },
            "backend": { "kind": "local" } })
        };
        let connection = id(&create("/api/v1/connections", wanted(name)).await);
        let spare = id(&create("/api/v1/connections", wanted(&format!("{name}-spare"))).await);
        let upload = server.request(Method::POST, "/api/v1/configurations").bearer_auth(token);
        let answer = ask(upload.header("content-type", "application/gzip").body(archive())).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let configuration = id(&answer.json());
        let wanted = json!({ "target": "swept", "connection": connection, "configuration": configuration });
        let deployment = id(&create("/api/v1/deployments", wanted).await);
        let wanted = json!({ "name": "swept/secret", "value": "to be swept", "environment": environment });
        let secret = id(&create("/api/v1/secrets", wanted).await);
        let named_key = json!({ "name": "swept", "environment": environment });
        let named_key = id(&create("/api/v1/keys", named_key).await);
        Self {
            environment,
            person,
            service,
            binding,
            key,
            session,
            connection,
            spare,
            configuration,
            deployment,
            secret,
            named_key,
            record: sequenced(server, token).await,
            log: log(&server.get(token, "/api/v1/evidence/log").await.word("origin")),
            name: name.to_owned(),
            enrolment,
        }
    }

    pub(crate) fn ids(&self) -> [&str; 13] {
        [
            &self.environment,
            &self.person,
            &self.service,
            &self.binding,
            &self.key,
            &self.session,
            &self.connection,
            &self.spare,
            &self.configuration,
            &self.deployment,
            &self.secret,
            &self.named_key,
            &self.record,
        ]
    }

    /// What the path of an operation names.
    fn of(&self, operation: &str) -> &str {
        match operation {
            "update_environment" => &self.environment,
            "show_person" | "disable_person" => &self.person,
            "retire_service" => &self.service,
            "unbind_role" => &self.binding,
            "revoke_key" => &self.key,
            "revoke_session" => &self.session,
            "show_connection" | "preflight_connection" => &self.connection,
            "delete_connection" => &self.spare,
            "show_configuration" => &self.configuration,
            "show_deployment" | "read_output" | "cancel_deployment" | "roll_back_to" => &self.deployment,
            "show_record" | "prove_record" => &self.record,
            "read_checkpoint" => &self.log,
            // Only a run that planned makes a request for approval.
            _ => NOTHING,
        }
    }
}

/// The oldest record, once it is in the log: the sequencer puts it there within a second or so.
async fn sequenced(server: &Server, token: &str) -> String {
    let records = server.get(token, "/api/v1/evidence").await.json();
    let oldest = records["items"].as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    for _ in 0..200 {
        if server.get(token, &format!("/api/v1/evidence/{oldest}/proof")).await.status == 200 {
            return oldest;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the sequencer does not work");
}

/// The last part of an origin names the log in paths.
fn log(origin: &str) -> String {
    origin.rsplit('/').next().unwrap().to_owned()
}

/// A body that is well formed.
pub(crate) fn body(operation: &str, things: &Things) -> Value {
    let fresh = format!("{}-again", things.name);
    match operation {
        "init" => json!({ "protection": { "kind": "dev-file" }, "admin": "root" }),
        "unseal" => json!({ "key": "nothing that opens" }),
        "rekey" => json!({ "protection": { "kind": "shamir", "threshold": 2, "shares": 3 } }),
        "create_tenant" => json!({ "name": fresh, "admin": "admin" }),
        "create_environment" => json!({ "name": fresh, "kind": "dev" }),
        "update_environment" => json!({ "requiredApprovals": 0 }),
        "create_person" => json!({ "name": fresh }),
        "create_service" => json!({ "name": fresh, "owner": things.person, "purpose": "to be swept" }),
        "bind_role" => json!({ "principal": things.person, "role": "developer" }),
        "create_key" => json!({ "label": fresh, "scopes": ["runtime.*"], "expiresAt": soon() }),
        "log_in" => json!({ "token": things.enrolment }),
        "write_policies" => json!({ "policies": "" }),
        "test_policies" => json!({ "cases": [] }),
        "create_connection" => json!({ "name": fresh, "environment": things.environment,
            "target": { "cloud": "local" }, "backend": { "kind": "local" } }),
        "create_deployment" => json!({ "target": fresh, "connection": things.connection,
            "configuration": things.configuration }),
        "roll_back_to" => json!({ "reason": "to be swept" }),
        "decide_approval" => json!({ "verdict": "approve", "binding": "sha256:00" }),
        "erase_subject" => json!({ "subject": things.person }),
        "output" => json!({ "sequence": 1, "lines": [] }),
        "events" => json!({ "events": [] }),
        // Of runs, nobody gets as far as their bodies here.
        "rotate" | "plan" | "finish" => json!({}),
        other => made_up_for(other),
    }
}

fn made_up_for(operation: &str) -> Value {
    let all = ALL.get().unwrap();
    all.iter().find(|it| it.id == operation).unwrap().made_up.clone()
}

/// In a month, for what must end within a year.
fn soon() -> String {
    use writ_kernel::{Clock as _, SystemClock};
    SystemClock.now().plus(std::time::Duration::from_hours(30 * 24)).to_string()
}

/// A configuration that needs nothing, packed.
fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let text = b"output \"swept\" {\n  value = 1\n}\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "main.tf", &text[..]).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}
