//! Approvals: others agree to exactly one change, for a while.

use std::time::Duration;

use uuid::Uuid;
use writ_kernel::{
    Action, Approval, Environment, Error, Id, Page, PageRequest, Principal, Result, Timestamp, World,
};
use writ_store::{Tx, serialize_on};

use crate::sql;

/// How long an approval may be waited for, and used once given.
pub const LIFETIME: Duration = Duration::from_hours(72);

/// How far a request for approval has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not enough have spoken.
    Pending,
    /// Enough others agreed.
    Approved,
    /// Somebody said no.
    Rejected,
    /// Its time ran out.
    Expired,
    /// The change became another one.
    Superseded,
    /// The authority it gave was consumed.
    Used,
}

impl State {
    /// The lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Used => "used",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        [Self::Pending, Self::Approved, Self::Rejected, Self::Expired, Self::Superseded, Self::Used]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::internal("an approval is in no known state"))
    }
}

/// A request that others agree to a change.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its id.
    pub id: Id<Approval>,
    /// What is to be done.
    pub action: Action,
    /// What it is done to.
    pub resource: Uuid,
    /// Where.
    pub environment: Id<Environment>,
    /// Who asked for the change.
    pub author: Id<Principal>,
    /// SHA-256 of everything the approval binds.
    pub binding: String,
    /// How many must agree.
    pub quorum: u8,
    /// How far it has come, as of its last change; see [`Request::state_at`].
    pub state: State,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it stops counting.
    pub expires_at: Timestamp,
}

impl Request {
    /// How far it has come at `now`: what is open or unused expires by itself.
    pub fn state_at(&self, now: Timestamp) -> State {
        match self.state {
            State::Pending | State::Approved if now >= self.expires_at => State::Expired,
            state => state,
        }
    }
}

/// What one person said.
#[derive(Debug, Clone)]
pub struct Vote {
    /// Who.
    pub principal: Id<Principal>,
    /// Whether they agree.
    pub approve: bool,
    /// Why.
    pub comment: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What an approval is asked for.
#[derive(Debug, Clone)]
pub struct New {
    /// What is to be done.
    pub action: Action,
    /// What it is done to.
    pub resource: Uuid,
    /// Where.
    pub environment: Id<Environment>,
    /// Who asked for the change.
    pub author: Id<Principal>,
    /// SHA-256 of everything the approval binds.
    pub binding: String,
    /// How many must agree, at least 1.
    pub quorum: u8,
}

/// Asks for an approval. Earlier ones about the same resource that are still open are superseded.
///
/// # Errors
/// When the database fails.
pub async fn request(tx: &mut Tx, world: &World, new: New) -> Result<Request> {
    sql::supersede_approvals(tx, new.resource).await?;
    let now = world.now();
    let New { action, resource, environment, author, binding, quorum } = new;
    let (state, expires_at) = (State::Pending, now.plus(LIFETIME));
    let request = Request {
        id: world.id(),
        action,
        resource,
        environment,
        author,
        binding,
        quorum,
        state,
        created_at: now,
        expires_at,
    };
    sql::insert_approval(tx, &request).await?;
    Ok(request)
}

/// One request; `None` when the tenant has no such.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut Tx, id: Id<Approval>) -> Result<Option<Request>> {
    sql::approval(tx, id.uuid()).await
}

/// The newest request about `resource`.
///
/// # Errors
/// When the database fails.
pub async fn latest_for(tx: &mut Tx, resource: Uuid) -> Result<Option<Request>> {
    sql::latest_approval(tx, resource).await
}

/// Requests in `state` as of their last change (all when `None`), newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut Tx, state: Option<State>, page: &PageRequest) -> Result<Page<Request>> {
    let before = page.after.as_ref().map(|cursor| cursor.0.parse::<Id<Approval>>()).transpose()?;
    let rows = sql::approvals(tx, state, before.map(Id::uuid), i64::from(page.limit) + 1).await?;
    Ok(Page::cut(rows, page.limit, |request| request.id.to_string()))
}

/// Who said what about a request, in order.
///
/// # Errors
/// When the database fails.
pub async fn votes(tx: &mut Tx, id: Id<Approval>) -> Result<Vec<Vote>> {
    sql::votes(tx, id.uuid()).await
}

/// Records what `vote.principal` says, and what that makes of the request. Policy has already kept the author out;
/// this keeps out a second vote of the same person, a vote on something else than what was reviewed, and a vote on
/// what is closed. Votes on one request are taken one after another, whatever the caller read before.
///
/// # Errors
/// `Conflict` in each of those cases.
pub async fn decide(tx: &mut Tx, request: &Request, reviewed: &str, vote: Vote) -> Result<State> {
    let now = vote.at;
    serialize_on(tx, &format!("approval|{}", request.id)).await?;
    let request = &find(tx, request.id).await?.ok_or_else(|| Error::not_found("approval"))?;
    if request.state_at(now) != State::Pending {
        let state = request.state_at(now).as_str();
        return Err(Error::conflict("approval_closed", format!("the request is {state}")));
    }
    if request.author == vote.principal {
        return Err(Error::forbidden("separation_of_duties", "somebody other than the author must decide"));
    }
    if request.binding != reviewed {
        return Err(Error::conflict("binding_mismatch", "the change is not the one that was reviewed")
            .at("binding")
            .hint("read the plan again and decide on its current binding"));
    }
    sql::insert_vote(tx, request.id.uuid(), &vote).await.map_err(|error| match error.kind() {
        writ_kernel::Kind::Conflict => Error::conflict("already_decided", "you have decided on this already"),
        _ => error,
    })?;
    let state = if vote.approve { standing(tx, request).await? } else { State::Rejected };
    if state != State::Pending {
        sql::set_approval_state(tx, request.id.uuid(), State::Pending, state).await?;
    }
    Ok(state)
}

/// The others who agree, whoever they are by now.
///
/// # Errors
/// When the database fails.
pub async fn agreed(tx: &mut Tx, request: &Request) -> Result<Vec<Id<Principal>>> {
    let votes = votes(tx, request.id).await?;
    let others = votes.into_iter().filter(|vote| vote.approve && vote.principal != request.author);
    Ok(others.map(|vote| vote.principal).collect())
}

/// Consumes an approval: exactly one caller ever succeeds.
///
/// # Errors
/// `Conflict` when it is not approved, has expired or was consumed.
pub async fn consume(tx: &mut Tx, request: &Request, now: Timestamp) -> Result<()> {
    let spent = || Error::conflict("approval_not_usable", "the approval is not there any more");
    if request.state_at(now) != State::Approved {
        return Err(spent());
    }
    let changed = sql::set_approval_state(tx, request.id.uuid(), State::Approved, State::Used).await?;
    if changed { Ok(()) } else { Err(spent()) }
}

async fn standing(tx: &mut Tx, request: &Request) -> Result<State> {
    let enough = agreed(tx, request).await?.len() >= usize::from(request.quorum);
    Ok(if enough { State::Approved } else { State::Pending })
}
