//! What a span may say.

use writ_deploy::ports::Launch;
use writ_kernel::{SpanId, Timestamp};
use writ_web::Served;

use super::{
    Tracer,
    otlp::{Kind, Span, number, text},
};

/// A run of a runner, seen from outside.
pub(crate) struct RunSpan {
    /// The span that the runner's own requests are below.
    pub(crate) id: SpanId,
    pub(crate) began: Timestamp,
    pub(crate) ended: Timestamp,
    /// Whether its process ended with success, if that is known.
    pub(crate) success: bool,
}

/// What of a launch stands in its span.
#[derive(Clone, Copy)]
pub(crate) struct Launched {
    trace: writ_kernel::TraceId,
    tenant: writ_kernel::TenantId,
    deployment: writ_kernel::Id<writ_kernel::Deployment>,
    run: writ_kernel::Id<writ_kernel::Run>,
}

impl From<&Launch> for Launched {
    fn from(launch: &Launch) -> Self {
        Self { trace: launch.trace, tenant: launch.tenant, deployment: launch.deployment, run: launch.run }
    }
}

impl Tracer {
    /// A request was answered. Attributes are named by OpenTelemetry's conventions for HTTP where there are such.
    pub(crate) fn served(&self, served: &Served<'_>) {
        if served.trace.sampled() {
            self.take(|| of_request(served));
        }
    }

    /// A runner's process ended.
    pub(crate) fn ran(&self, launched: Launched, run: &RunSpan) {
        if self.samples(launched.trace) {
            self.take(|| of_run(launched, run));
        }
    }
}

fn of_request(served: &Served<'_>) -> Span {
    let status = served.status.as_u16();
    let mut attributes = vec![
        text("http.request.method", served.method),
        text("http.route", served.route),
        number("http.response.status_code", status),
    ];
    attributes.extend(served.tenant.map(|tenant| text("writ.tenant", tenant)));
    attributes.extend(served.code.map(|code| text("error.type", code)));
    Span {
        trace: served.trace.id(),
        id: served.trace.span(),
        parent: served.trace.parent(),
        kind: Kind::Server,
        name: format!("{} {}", served.method, served.route),
        began: served.began,
        ended: served.began.plus(served.elapsed),
        attributes,
        // A refusal is the server doing well.
        failed: served.status.is_server_error(),
    }
}

fn of_run(launched: Launched, run: &RunSpan) -> Span {
    Span {
        trace: launched.trace,
        id: run.id,
        parent: None,
        kind: Kind::Consumer,
        name: "run".to_owned(),
        began: run.began,
        ended: run.ended,
        attributes: vec![
            text("writ.tenant", launched.tenant),
            text("writ.deployment", launched.deployment),
            text("writ.run", launched.run),
        ],
        failed: !run.success,
    }
}
