//! Who the runner is before it borrows anything.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use writ_crypto::SecretString;
use writ_kernel::{Error, Result};

use crate::{Credentials, RoleArn, SessionDuration, SessionName, Sts, http::trusted_url};

/// A web identity token or an authorization token is at most this many bytes.
const TOKEN_LIMIT: u64 = 20_000;

/// Where EKS Pod Identity answers on every node.
const POD_IDENTITY: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

/// A key to sign with, and its session if it has one.
#[expect(missing_debug_implementations, reason = "holds secrets")]
pub struct Identity {
    /// The id of the key.
    pub access_key_id: SecretString,
    /// The key.
    pub secret_access_key: SecretString,
    /// The session it belongs to.
    pub session_token: Option<SecretString>,
}

impl From<Credentials> for Identity {
    fn from(credentials: Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
            session_token: Some(credentials.session_token),
        }
    }
}

/// Where the runner's own identity comes from: one source, named, with no fallback to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum IdentitySource {
    /// A web identity token in a file that the platform keeps fresh (IRSA), and the role it opens.
    WebIdentity {
        /// The file; read anew each time.
        token_file: PathBuf,
        /// The runner's own role.
        role_arn: String,
    },
    /// The container credential endpoint of EKS Pod Identity or ECS.
    PodIdentity {
        /// `http` on loopback or on the agent's link-local address, or `https`.
        endpoint: String,
        /// The file with the authorization token; read anew each time.
        token_file: PathBuf,
    },
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` of the runner's own process. A
    /// standing credential: for development against an emulator.
    DevelopmentEnvironment {},
}

impl IdentitySource {
    /// The runner's identity, proved now.
    ///
    /// # Errors
    /// `Unavailable` when the source cannot be read or answers nonsense; what [`Sts`] says of a web identity.
    pub async fn prove(
        &self,
        sts: &Sts,
        session: &SessionName,
        environment: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Identity> {
        match self {
            Self::WebIdentity { token_file, role_arn } => {
                let role: RoleArn = role_arn.parse()?;
                let token = read_token(token_file).await?;
                let credentials =
                    sts.assume_role_with_web_identity(&role, session, SessionDuration::HOUR, &token).await?;
                Ok(credentials.into())
            }
            Self::PodIdentity { endpoint, token_file } => pod_identity(sts, endpoint, token_file).await,
            Self::DevelopmentEnvironment {} => from_environment(environment),
        }
    }
}

fn from_environment(environment: &(dyn Fn(&str) -> Option<String> + Sync)) -> Result<Identity> {
    let variable = |name: &str| environment(name).filter(|value| !value.is_empty()).map(SecretString::new);
    let required = |name: &str| {
        variable(name).ok_or_else(|| {
            Error::unavailable("no_identity", format!("the runner's environment has no `{name}`")).hint(
                "the development identity source reads it from there; production runners use web identity",
            )
        })
    };
    Ok(Identity {
        access_key_id: required("AWS_ACCESS_KEY_ID")?,
        secret_access_key: required("AWS_SECRET_ACCESS_KEY")?,
        session_token: variable("AWS_SESSION_TOKEN"),
    })
}

/// The answer of a container credential endpoint (AWS SDKs and Tools Reference, "Container credential provider").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    access_key_id: String,
    secret_access_key: String,
    token: String,
}

async fn pod_identity(sts: &Sts, endpoint: &str, token_file: &Path) -> Result<Identity> {
    const PEER: &str = "the container credential endpoint";
    let url = trusted_url(endpoint, &POD_IDENTITY)?;
    let token = read_token(token_file).await?;
    let mut value = reqwest::header::HeaderValue::from_str(token.expose()).map_err(|_| {
        Error::unavailable("malformed_token", "the authorization token is not a header value")
    })?;
    value.set_sensitive(true);
    let reply = sts.http.send(sts.http.get(url).header("authorization", value), PEER).await?;
    if !reply.status.is_success() {
        let status = reply.status.as_u16();
        return Err(Error::unavailable("no_identity", format!("{PEER} answered with status {status}")));
    }
    let answer: Container = serde_json::from_slice(reply.body.expose())
        // serde's message can quote the input, so it is left out.
        .map_err(|_| {
            Error::unavailable("malformed_answer", format!("{PEER} answered with something else"))
        })?;
    Ok(Identity {
        access_key_id: SecretString::new(answer.access_key_id),
        secret_access_key: SecretString::new(answer.secret_access_key),
        session_token: Some(SecretString::new(answer.token)),
    })
}

async fn read_token(file: &Path) -> Result<SecretString> {
    let unreadable = |why: &str| {
        Error::unavailable("no_identity", format!("the token file `{}` {why}", file.display()))
            .hint("is the pod's service account projected, with the right audience?")
    };
    let size =
        tokio::fs::metadata(file).await.map_err(|error| unreadable("cannot be read").because(error))?.len();
    if size > TOKEN_LIMIT {
        return Err(unreadable("is too large for a token"));
    }
    let text =
        tokio::fs::read_to_string(file).await.map_err(|error| unreadable("cannot be read").because(error))?;
    let text = SecretString::new(text);
    let token = text.expose().trim();
    if token.is_empty() || token.len() as u64 > TOKEN_LIMIT {
        return Err(unreadable("holds no token"));
    }
    Ok(SecretString::new(token.to_owned()))
}
