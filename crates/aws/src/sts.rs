//! The AWS Security Token Service by its query API (version 2011-06-15): `AssumeRoleWithWebIdentity`, which needs
//! no signature, and `AssumeRole`, which does.

use std::time::Duration;

use reqwest::{Url, header::HeaderValue};
use roxmltree::{Document, ParsingOptions};
use writ_crypto::{SecretBytes, SecretString};
use writ_kernel::{Error, Kind, Result, World};

use crate::{
    Credentials, ExternalId, Http, Identity, Region, RoleArn, SessionDuration, SessionName, SessionPolicy,
    SessionTag,
    http::{Reply, host_of, trusted_url, wiped},
    sigv4,
};

const VERSION: &str = "2011-06-15";
const PEER: &str = "the security token service";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// How far our clock may be from Amazon's before a lease is taken for a wrong one.
const SKEW: Duration = Duration::from_mins(5);

/// How often to try when the service is busy or does not answer.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How many times in all.
    pub tries: u32,
    /// The most to wait before the second; doubles from there, and the wait is a random part of it.
    pub first: Duration,
    /// The most to wait before any.
    pub most: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: 4, first: Duration::from_millis(250), most: Duration::from_secs(4) }
    }
}

/// A role to be assumed for a run.
#[expect(missing_debug_implementations, reason = "holds the external id")]
pub struct AssumeRole {
    /// The customer's role.
    pub role: RoleArn,
    /// What its trust policy demands. There is no role without one.
    pub external_id: ExternalId,
    /// The name of the session in the cloud's trail.
    pub session_name: SessionName,
    /// Who is behind it, if the trust policy allows `sts:SetSourceIdentity`.
    pub source_identity: Option<SessionName>,
    /// How long it is needed.
    pub duration: SessionDuration,
    /// What the cloud's trail is to know: at most 50.
    pub tags: Vec<SessionTag>,
    /// What the session may do at most.
    pub policy: SessionPolicy,
}

/// Who somebody is at Amazon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Somebody {
    /// The account, 12 digits.
    pub account: String,
    /// The session, role or user.
    pub arn: String,
}

/// A regional endpoint of the service.
#[derive(Debug, Clone)]
pub struct Sts {
    world: World,
    pub(crate) http: Http,
    endpoint: Url,
    host: String,
    region: Region,
    patience: Patience,
}

impl Sts {
    /// The service in `region`, at `endpoint` or, without one, where Amazon has it.
    ///
    /// # Errors
    /// `Invalid` when `endpoint` is neither `https` nor `http` on a loopback address.
    pub fn new(
        world: World,
        http: Http,
        region: Region,
        endpoint: Option<&str>,
        patience: Patience,
    ) -> Result<Self> {
        let suffix = if region.as_str().starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let amazon = format!("https://sts.{}.{suffix}/", region.as_str());
        let endpoint = trusted_url(endpoint.unwrap_or(&amazon), &[])?;
        let host = host_of(&endpoint);
        Ok(Self { world, http, endpoint, host, region, patience })
    }

    /// The runner's own `role`, opened with a web identity `token`.
    ///
    /// # Errors
    /// One per [`Refusal`]; `Unavailable` and `Timeout` when there is no usable answer.
    pub async fn assume_role_with_web_identity(
        &self,
        role: &RoleArn,
        session: &SessionName,
        duration: SessionDuration,
        token: &SecretString,
    ) -> Result<Credentials> {
        let seconds = duration.seconds().to_string();
        let body = form(&[
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", VERSION),
            ("RoleArn", role.as_str()),
            ("RoleSessionName", session.as_str()),
            ("DurationSeconds", &seconds),
            ("WebIdentityToken", token.expose()),
        ]);
        self.ask(&body, None, duration, &[token.expose()]).await
    }

    /// The customer's role, assumed as `identity`.
    ///
    /// # Errors
    /// One per [`Refusal`]; `Unavailable` and `Timeout` when there is no usable answer; `Invalid` with more than
    /// 50 tags.
    pub async fn assume_role(&self, identity: &Identity, request: &AssumeRole) -> Result<Credentials> {
        if request.tags.len() > 50 {
            return Err(Error::invalid("too_many_tags", "a session has at most 50 tags"));
        }
        let seconds = request.duration.seconds().to_string();
        let mut fields: Vec<(String, &str)> = vec![
            ("Action".into(), "AssumeRole"),
            ("Version".into(), VERSION),
            ("RoleArn".into(), request.role.as_str()),
            ("RoleSessionName".into(), request.session_name.as_str()),
            ("DurationSeconds".into(), &seconds),
            ("ExternalId".into(), request.external_id.expose()),
        ];
        fields.extend(request.source_identity.as_ref().map(|name| ("SourceIdentity".into(), name.as_str())));
        for (number, tag) in (1..).zip(&request.tags) {
            fields.push((format!("Tags.member.{number}.Key"), tag.key()));
            fields.push((format!("Tags.member.{number}.Value"), tag.value()));
        }
        for (number, arn) in (1..).zip(request.policy.arns()) {
            fields.push((format!("PolicyArns.member.{number}.arn"), arn));
        }
        fields.extend(request.policy.inline().map(|policy| ("Policy".into(), policy)));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let secrets = [request.external_id.expose(), identity.secret_access_key.expose()];
        self.ask(&form(&fields), Some(identity), request.duration, &secrets).await
    }

    /// Who `identity` is, in the service's own words (`GetCallerIdentity`, which no policy can deny).
    ///
    /// # Errors
    /// One per [`Refusal`]; `Unavailable` and `Timeout` when there is no usable answer.
    pub async fn caller_identity(&self, identity: &Identity) -> Result<Somebody> {
        let body = form(&[("Action", "GetCallerIdentity"), ("Version", VERSION)]);
        let secrets = [identity.secret_access_key.expose()];
        let reply = self.answer(&body, Some(identity), &secrets).await?;
        let malformed =
            || Error::unavailable("malformed_answer", format!("{PEER} answered with something else"));
        let text = std::str::from_utf8(reply.body.expose()).map_err(|_| malformed())?;
        let document = parse(text).ok_or_else(malformed)?;
        let find = |name: &str| {
            let node = document.descendants().find(|node| node.tag_name().name() == name);
            node.and_then(|node| node.text()).map(|text| text.trim().to_owned()).ok_or_else(malformed)
        };
        Ok(Somebody { account: find("Account")?, arn: find("Arn")? })
    }

    /// Whether `role` lets `identity` in with `external_id` instead of the one it should demand. A session that it gives
    /// may do nothing, lasts as short as can be, and is dropped at once.
    ///
    /// # Errors
    /// What else than yes or no came of it.
    pub async fn admits(
        &self,
        identity: &Identity,
        role: &RoleArn,
        session: &SessionName,
        external_id: Option<&ExternalId>,
    ) -> Result<bool> {
        let nothing = SessionPolicy::nothing();
        let mut fields = vec![
            ("Action", "AssumeRole"),
            ("Version", VERSION),
            ("RoleArn", role.as_str()),
            ("RoleSessionName", session.as_str()),
            ("DurationSeconds", "900"),
        ];
        fields.extend(external_id.map(|id| ("ExternalId", id.expose())));
        fields.extend(nothing.inline().map(|policy| ("Policy", policy)));
        let secrets = [identity.secret_access_key.expose()];
        match self.answer(&form(&fields), Some(identity), &secrets).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == "sts_access_denied" => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks until there is an answer worth keeping.
    async fn ask(
        &self,
        body: &SecretString,
        signer: Option<&Identity>,
        duration: SessionDuration,
        secrets: &[&str],
    ) -> Result<Credentials> {
        let reply = self.answer(body, signer, secrets).await?;
        self.within(lease(&reply)?, duration)
    }

    /// The answer to a form; tries again while the service is busy.
    async fn answer(
        &self,
        body: &SecretString,
        signer: Option<&Identity>,
        secrets: &[&str],
    ) -> Result<Reply> {
        let mut most = self.patience.first;
        for tries_left in (0..self.patience.tries.max(1)).rev() {
            let failure = match self.once(body, signer, secrets).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            if tries_left == 0 || !passing(&failure) {
                return Err(failure);
            }
            tokio::time::sleep(self.part_of(most)).await;
            most = (most * 2).min(self.patience.most);
        }
        Err(Error::internal("no try was made"))
    }

    async fn once(&self, body: &SecretString, signer: Option<&Identity>, secrets: &[&str]) -> Result<Reply> {
        let bytes = body.expose().as_bytes();
        let mut request = self.http.post(self.endpoint.clone()).header("content-type", FORM);
        if let Some(identity) = signer {
            let unsigned = sigv4::Request {
                method: "POST",
                path: self.endpoint.path(),
                query: &[],
                headers: &[("host", &self.host), ("content-type", FORM)],
                body: bytes,
            };
            let scope = sigv4::Scope { region: self.region.as_str(), service: "sts", time: self.world.now() };
            for (name, value) in sigv4::sign(&unsigned, identity, &scope) {
                let mut value = HeaderValue::from_str(&value).map_err(|_| {
                    Error::unavailable("malformed_identity", "the runner's key is not one of Amazon's")
                })?;
                value.set_sensitive(true);
                request = request.header(name, value);
            }
        }
        let reply = self.http.send(request.body(wiped(SecretBytes::new(bytes.to_vec()))), PEER).await?;
        if reply.status.is_success() { Ok(reply) } else { Err(refusal(&reply, secrets)) }
    }

    /// A lease that is over, or outlasts what was asked for, is none of ours.
    fn within(&self, credentials: Credentials, duration: SessionDuration) -> Result<Credentials> {
        let now = self.world.now();
        let wrong = |why: &str| {
            Error::unavailable("wrong_lease", format!("{PEER} gave a lease that {why}"))
                .hint("check the clock")
        };
        if credentials.expiration <= now {
            return Err(wrong("is already over"));
        }
        if credentials.expiration.since(now) > Duration::from(duration) + SKEW {
            return Err(wrong("lasts longer than asked for"));
        }
        Ok(credentials)
    }

    /// A random part of `most`, so that many runners do not come back at once.
    fn part_of(&self, most: Duration) -> Duration {
        most.mul_f64(f64::from(u32::from_le_bytes(self.world.bytes())) / f64::from(u32::MAX))
    }
}

fn form(fields: &[(&str, &str)]) -> SecretString {
    SecretString::new(form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
}

fn passing(error: &Error) -> bool {
    matches!(error.kind(), Kind::Exhausted | Kind::Timeout)
        || (error.kind() == Kind::Unavailable && matches!(error.code(), "unreachable" | "sts_unavailable"))
}

/// Reads `<…Response><…Result><Credentials>…`.
fn lease(reply: &Reply) -> Result<Credentials> {
    let malformed = || Error::unavailable("malformed_answer", format!("{PEER} answered with something else"));
    let text = std::str::from_utf8(reply.body.expose()).map_err(|_| malformed())?;
    // The parser's message can quote the input, so it is left out.
    let document = parse(text).ok_or_else(malformed)?;
    let credentials =
        document.descendants().find(|node| node.tag_name().name() == "Credentials").ok_or_else(malformed)?;
    let child = |name: &str| {
        let node = credentials.children().find(|node| node.tag_name().name() == name);
        node.and_then(|node| node.text()).map(str::trim).filter(|text| !text.is_empty()).ok_or_else(malformed)
    };
    Ok(Credentials {
        access_key_id: SecretString::new(child("AccessKeyId")?.to_owned()),
        secret_access_key: SecretString::new(child("SecretAccessKey")?.to_owned()),
        session_token: SecretString::new(child("SessionToken")?.to_owned()),
        expiration: child("Expiration")?.parse().map_err(|_| malformed())?,
    })
}

fn parse(text: &str) -> Option<Document<'_>> {
    Document::parse_with_options(
        text,
        ParsingOptions { allow_dtd: false, nodes_limit: 512, ..Default::default() },
    )
    .ok()
}

/// Reads `<ErrorResponse><Error><Code/><Message/></Error></ErrorResponse>`.
fn refusal(reply: &Reply, secrets: &[&str]) -> Error {
    let text = std::str::from_utf8(reply.body.expose()).unwrap_or_default();
    let (code, message) = parse(text).map_or_else(Default::default, |document| {
        let find = |name: &str| {
            let node = document.descendants().find(|node| node.tag_name().name() == name);
            node.and_then(|node| node.text()).unwrap_or_default().trim().to_owned()
        };
        (find("Code"), find("Message"))
    });
    let status = reply.status.as_u16();
    // Amazon's message names principals and resources, for our log; one that echoes what we sent is dropped.
    let echoes = secrets.iter().any(|secret| message.contains(secret) || code.contains(secret));
    let said: String =
        if echoes { String::new() } else { format!("{code}: {message}").chars().take(400).collect() };
    Refusal::of(&code, status).error().context(format!("status {status} {said}"))
}

/// Why the service said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The trust policy does not let the runner in: wrong external id, principal, tags or source identity.
    AccessDenied,
    /// The token or session that proves the identity is over.
    ExpiredToken,
    /// The token is not one, or of a wrong issuer or audience.
    InvalidToken,
    /// The signature does not fit: a wrong key or a wrong clock.
    InvalidSignature,
    /// A parameter is outside what the role allows, like its longest session.
    Validation,
    /// Session policy and tags are too large once packed.
    PackedPolicyTooLarge,
    /// The session policy is not a policy.
    MalformedPolicy,
    /// The region's endpoint is switched off in the account.
    RegionDisabled,
    /// Too many requests.
    Throttled,
    /// The service is in trouble.
    Unavailable,
    /// Anything else.
    Other,
}

impl Refusal {
    fn of(code: &str, status: u16) -> Self {
        match code {
            "AccessDenied" | "AccessDeniedException" => Self::AccessDenied,
            "ExpiredToken" | "ExpiredTokenException" => Self::ExpiredToken,
            "InvalidIdentityToken" | "IDPRejectedClaim" | "InvalidClientTokenId" => Self::InvalidToken,
            "SignatureDoesNotMatch" | "RequestExpired" | "IncompleteSignature" => Self::InvalidSignature,
            "ValidationError" | "InvalidParameterValue" => Self::Validation,
            "PackedPolicyTooLarge" => Self::PackedPolicyTooLarge,
            "MalformedPolicyDocument" => Self::MalformedPolicy,
            "RegionDisabledException" => Self::RegionDisabled,
            "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequestsException" => {
                Self::Throttled
            }
            "IDPCommunicationError" => Self::Unavailable,
            _ => match status {
                429 => Self::Throttled,
                500.. => Self::Unavailable,
                _ => Self::Other,
            },
        }
    }

    fn error(self) -> Error {
        match self {
            Self::AccessDenied => Error::forbidden(
                "sts_access_denied",
                "the role does not let the runner in",
            )
            .hint(
                "its trust policy must name the runner's role, this external id, and allow sts:TagSession \
                 and sts:SetSourceIdentity",
            ),
            Self::ExpiredToken => {
                Error::unauthenticated("sts_expired_token", "the runner's proof of identity is over")
                    .hint("is the token file kept fresh?")
            }
            Self::InvalidToken => {
                Error::unauthenticated("sts_invalid_token", "the runner's proof of identity is not accepted")
                    .hint("check the identity provider, its audience and the role it opens")
            }
            Self::InvalidSignature => {
                Error::unauthenticated("sts_invalid_signature", "the runner's signature is not accepted")
                    .hint("check the clock and the region")
            }
            Self::Validation => {
                Error::invalid("sts_validation", "the role does not allow what was asked for")
                    .hint("is the role's longest session shorter than asked for?")
            }
            Self::PackedPolicyTooLarge => {
                Error::invalid("sts_policy_too_large", "session policy and tags are too large together")
            }
            Self::MalformedPolicy => {
                Error::invalid("sts_malformed_policy", "the session policy is not accepted")
            }
            Self::RegionDisabled => {
                Error::forbidden("sts_region_disabled", "the region's security token service is switched off")
                    .hint("activate it in the account's settings, or use another region")
            }
            Self::Throttled => Error::exhausted(
                "sts_throttled",
                "the security token service is asked too often",
                Duration::from_secs(5),
            ),
            Self::Unavailable => {
                Error::unavailable("sts_unavailable", "the security token service is in trouble")
            }
            Self::Other => Error::unavailable("sts_refused", "the security token service refused"),
        }
    }
}
