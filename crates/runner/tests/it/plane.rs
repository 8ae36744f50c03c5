//! A control plane that is a double: it loses answers and forgets runs, which a real one cannot be made to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use writ_crypto::hash::{Sha256, file_tree, hex};
use writ_redact::Canary;

use crate::{
    borrowing::{System, world},
    common::archive,
};

/// The salt of every plan hash here.
pub(crate) const SALT: &str = "00112233445566778899aabbccddeeff";

/// What a sign of life is answered with, from the moment the output has a word.
pub(crate) enum Turn {
    Cancel,
    /// The run is known no more.
    Over,
}

/// What the control plane is to do, and what it has heard.
#[derive(Default)]
pub(crate) struct Plane {
    pub(crate) files: Vec<(String, String)>,
    pub(crate) variables: BTreeMap<String, Value>,
    pub(crate) mode: &'static str,
    /// What the run is for; a deployment unless told.
    pub(crate) task: Value,
    pub(crate) decision: Value,
    pub(crate) minimum: &'static str,
    pub(crate) cloud: Value,
    pub(crate) backend: Value,
    /// The lock whose holder is dead.
    pub(crate) release: Option<&'static str>,
    /// How long the run may take.
    pub(crate) seconds: u32,
    /// Every report is taken, and its answer lost, once.
    pub(crate) lossy: bool,
    pub(crate) turn: Option<(&'static str, Turn)>,
    pub(crate) tries: BTreeMap<u64, u32>,
    pub(crate) taken: Vec<u64>,
    /// Step and text of each line.
    pub(crate) lines: Vec<(String, String)>,
    pub(crate) events: Vec<Value>,
    pub(crate) plan: Option<Value>,
    pub(crate) finish: Option<Value>,
    /// Everything that was sent, as it was sent.
    pub(crate) bodies: Vec<String>,
}

type Shared = Arc<Mutex<Plane>>;

impl Plane {
    /// A run of this `main.tf` that may plan only.
    pub(crate) fn of(main: &str) -> Self {
        Self {
            files: vec![("main.tf".to_owned(), main.to_owned())],
            mode: "apply",
            minimum: "partial",
            seconds: 300,
            cloud: json!({ "cloud": "local" }),
            backend: json!({ "kind": "local" }),
            decision: json!({ "decision": "done" }),
            ..Self::default()
        }
    }

    /// The same, permitted.
    pub(crate) fn permitting(main: &str) -> Self {
        let decision = json!({ "decision": "apply", "permit": "0192a000-0000-7000-8000-00000000000a" });
        Self { decision, ..Self::of(main) }
    }

    pub(crate) fn finish(&self) -> &Value {
        self.finish.as_ref().unwrap()
    }

    pub(crate) fn said(&self) -> String {
        self.lines.iter().map(|(step, text)| [step, ": ", text, "\n"].concat()).collect()
    }

    /// The output digest as whoever has the lines computes it.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (_, text) in &self.lines {
            hash.update(text.as_bytes());
            hash.update(b"\n");
        }
        format!("sha256:{}", hex(&hash.finish()))
    }

    fn turned(&self) -> Option<&Turn> {
        let (word, turn) = self.turn.as_ref()?;
        self.said().contains(word).then_some(turn)
    }

    fn pulse(&self) -> Result<Json<Value>, StatusCode> {
        match self.turned() {
            Some(Turn::Over) => Err(StatusCode::UNAUTHORIZED),
            turned => Ok(Json(json!({ "cancel": turned.is_some() }))),
        }
    }

    /// Takes a numbered report, if it is the next one.
    fn take(
        &mut self,
        report: &Value,
        keep: impl FnOnce(&mut Self, &Value),
    ) -> Result<Json<Value>, StatusCode> {
        self.bodies.push(report.to_string());
        let number = report["push"].as_u64().unwrap();
        if number == self.taken.len() as u64 + 1 {
            self.taken.push(number);
            keep(self, report);
        }
        let tries = self.tries.entry(number).or_default();
        *tries += 1;
        if self.lossy && *tries == 1 {
            Err(StatusCode::BAD_GATEWAY)
        } else {
            Ok(Json(json!({ "cancel": false })))
        }
    }

    fn claim(&self) -> Value {
        let now = world(&Arc::new(System)).now();
        let id = "0192a000-0000-7000-8000-000000000001";
        let tree = self.files.iter().map(|(path, content)| (path.as_str(), content.as_bytes()));
        let mut claim = json!({
            "run": id, "deployment": id, "tenant": id, "environment": "dev", "environmentKind": "dev",
            "target": "web", "mode": self.mode, "session": "writ_runner_session", "canary": canary().text(),
            "planSalt": SALT, "configurationDigest": format!("sha256:{}", hex(&file_tree(tree))),
            "cloud": self.cloud, "backend": self.backend, "allowedProviders": [],
            "variables": self.variables, "minimumIsolation": self.minimum,
            "deadline": now.plus(Duration::from_secs(self.seconds.into())), "heartbeatSeconds": 1, "trace": "0",
        });
        if !self.task.is_null() {
            claim["task"] = self.task.clone();
        }
        claim
    }
}

pub(crate) fn canary() -> Canary {
    Canary::new(b"twenty random bytes.")
}

pub(crate) fn app(plane: Shared) -> Router {
    Router::new()
        .route(
            "/runner/v1/claim",
            post(async |State(plane): State<Shared>| Json(plane.lock().unwrap().claim())),
        )
        .route("/runner/v1/configuration", get(configuration))
        .route(
            "/runner/v1/heartbeat",
            post(async |State(plane): State<Shared>| plane.lock().unwrap().pulse()),
        )
        .route("/runner/v1/output", post(output))
        .route("/runner/v1/events", post(events))
        .route("/runner/v1/plan", post(plan))
        .route("/runner/v1/finish", post(finish))
        .with_state(plane)
}

async fn configuration(State(plane): State<Shared>) -> Vec<u8> {
    let files = plane.lock().unwrap().files.clone();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    archive(&files)
}

async fn output(State(plane): State<Shared>, Json(body): Json<Value>) -> Result<Json<Value>, StatusCode> {
    plane.lock().unwrap().take(&body, |plane, body| {
        let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        let lines = body["lines"].as_array().unwrap();
        plane.lines.extend(lines.iter().map(|line| (text(line, "step"), text(line, "text"))));
    })
}

async fn events(State(plane): State<Shared>, Json(body): Json<Value>) -> Result<Json<Value>, StatusCode> {
    let mut plane = plane.lock().unwrap();
    let locked = body["events"][0]["event"] == "state_locked";
    let release = plane.release.filter(|lock| locked && body["events"][0]["lock"] == *lock);
    let keep = |plane: &mut Plane, body: &Value| {
        plane.events.extend(body["events"].as_array().unwrap().iter().cloned());
    };
    plane.take(&body, keep).map(|_| Json(json!({ "cancel": false, "release": release })))
}

async fn plan(State(plane): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut plane = plane.lock().unwrap();
    plane.bodies.push(body.to_string());
    plane.plan = Some(body);
    Json(plane.decision.clone())
}

async fn finish(State(plane): State<Shared>, Json(body): Json<Value>) -> Result<Json<Value>, StatusCode> {
    let mut plane = plane.lock().unwrap();
    if matches!(plane.turned(), Some(Turn::Over)) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    plane.bodies.push(body.to_string());
    plane.finish = Some(body);
    Ok(Json(json!({ "cancel": false })))
}
