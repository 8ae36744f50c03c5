//! One request, as engines see it.

use std::{sync::Arc, time::Duration};

use http::Method;
use writ_crypto::SecretString;
use writ_gate::Resource;
use writ_kernel::{Caller, Capability};
use writ_web::From;

use crate::{
    body::Fields,
    fault::Fault,
    mounts::Mount,
    tokens::{Token, Who},
    view::View,
};

/// What is to be done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// GET.
    Read,
    /// PUT or POST.
    Write,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// LIST, or GET with `list=true`.
    List,
    /// SCAN, or GET with `scan=true`: a list of everything below.
    Scan,
}

impl Operation {
    /// What `method` asks for.
    pub(crate) fn of(method: &Method, query: &Fields) -> Option<Self> {
        let says = |name| query.boolean(name).ok().flatten().unwrap_or(false);
        Some(match method.as_str() {
            "GET" | "HEAD" if says("list") => Self::List,
            "GET" | "HEAD" if says("scan") => Self::Scan,
            "GET" | "HEAD" => Self::Read,
            "PUT" | "POST" => Self::Write,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "LIST" => Self::List,
            "SCAN" => Self::Scan,
            _ => return None,
        })
    }

    /// Whether it lists names.
    pub(crate) fn lists(self) -> bool {
        matches!(self, Self::List | Self::Scan)
    }

    /// The capabilities of which one is needed at least.
    pub(crate) fn capabilities(self) -> &'static [Capability] {
        match self {
            Self::Read => &[Capability::Read],
            Self::Write => &[Capability::Update, Capability::Create],
            Self::Patch => &[Capability::Patch],
            Self::Delete => &[Capability::Delete],
            Self::List => &[Capability::List],
            Self::Scan => &[Capability::Scan],
        }
    }
}

/// One request to one mount.
pub(crate) struct Ask {
    /// What is to be done.
    pub(crate) operation: Operation,
    /// The whole path, without `/v1/` and namespace, like `secret/data/a`. A listing ends with a slash.
    pub(crate) path: String,
    /// The path below the mount.
    pub(crate) rest: String,
    /// The mount.
    pub(crate) mount: Arc<Mount>,
    /// The body of a write, the parameters of anything else.
    pub(crate) fields: Fields,
    /// For how long the answer is to wait for whoever unwraps it.
    pub(crate) wrap: Option<Duration>,
    /// The environment.
    pub(crate) view: Arc<View>,
    /// Who asks; `None` at paths that need nobody.
    pub(crate) who: Option<Who>,
    /// The token as it was shown.
    pub(crate) shown: Option<SecretString>,
    /// Where it came from, and its trace.
    pub(crate) from: From,
    /// Whether the path may be used only by whom a rule gives `sudo`.
    pub(crate) sudo: bool,
}

impl Ask {
    /// Who asks, reaching no further than this path with this capability: for [`writ_gate::Gate::enter`].
    ///
    /// # Errors
    /// 403 when nobody does.
    pub(crate) fn caller(&self, capability: Capability) -> Result<Caller, Fault> {
        let who = self.who.as_ref().ok_or_else(Fault::nobody)?;
        let fence = who.caller.fence.as_ref().map(|fence| self.wanting(fence, capability));
        Ok(Caller { fence, ..who.caller.clone() })
    }

    /// [`Ask::caller`] for a read, list, patch or deletion: what the operation says. For a write it is `Update`.
    ///
    /// # Errors
    /// 403 when nobody does.
    pub(crate) fn caller_as_asked(&self) -> Result<Caller, Fault> {
        self.caller(self.operation.capabilities().first().copied().unwrap_or(Capability::Sudo))
    }

    /// [`Ask::caller`] for a write: `Create` when there is nothing yet, else `Update`.
    ///
    /// # Errors
    /// 403 when nobody does.
    pub(crate) fn caller_to_write(&self, exists: bool) -> Result<Caller, Fault> {
        self.caller(if exists { Capability::Update } else { Capability::Create })
    }

    /// [`Ask::caller`] with whatever of the operation's capabilities the rules allow: for what follows from an act that
    /// the gate has allowed already.
    ///
    /// # Errors
    /// 403 when nobody does.
    pub(crate) fn caller_again(&self) -> Result<Caller, Fault> {
        let mut callers = self.operation.capabilities().iter().map(|capability| self.caller(*capability));
        let fits = |caller: &Result<Caller, Fault>| {
            caller.as_ref().is_ok_and(|caller| caller.fence.as_ref().is_none_or(writ_kernel::Fence::permits))
        };
        callers.find(fits).unwrap_or_else(|| self.caller_as_asked())
    }

    /// The dialect token that asks, if it is one.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.who.as_ref().and_then(|who| who.token.as_ref())
    }

    /// What an action is done to, in this environment and at this path.
    pub(crate) fn resource(&self, kind: &'static str) -> Resource {
        let path = Some(self.path.clone());
        Resource { path, ..Resource::all(kind).within(self.view.environment.clone()) }
    }

    /// Whether the rules allow any of what the operation may need here. The gate decides again, on record.
    pub(crate) fn may_try(&self) -> bool {
        let Some(fence) = self.who.as_ref().and_then(|who| who.caller.fence.as_ref()) else { return true };
        let capabilities = self.operation.capabilities().iter();
        capabilities.copied().any(|capability| self.wanting(fence, capability).permits())
    }

    fn wanting(&self, fence: &writ_kernel::Fence, capability: Capability) -> writ_kernel::Fence {
        let wanted = writ_kernel::Wanted {
            path: self.path.as_str().into(),
            capability,
            sudo: self.sudo,
            parameters: match self.operation {
                Operation::Write | Operation::Patch => Some(self.parameters()),
                _ => None,
            },
            wrap: self.wrap,
        };
        fence.wanting(wanted)
    }

    /// The parameters of a write, for rules about them: names in lower case, texts without their quotes, anything else
    /// as JSON.
    fn parameters(&self) -> Vec<(String, String)> {
        let plain = |raw: &str| serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned());
        let members = self.fields.members().iter();
        members.map(|(name, value)| (name.to_lowercase(), plain(value.get()))).collect()
    }
}
