//! Finding out whether places at Amazon answer, without touching what is in them: the bucket and the lock table of a
//! state.

use reqwest::{RequestBuilder, StatusCode, Url, header::HeaderValue};
use serde::Deserialize;
use writ_crypto::{
    SecretBytes,
    hash::{hex, sha256},
};
use writ_kernel::{Error, Result, World};

use crate::{
    Http, Identity, Region,
    http::{Reply, host_of, trusted_url, wiped},
    sigv4,
};

const S3: &str = "the bucket's region";
const DYNAMODB: &str = "the lock table's region";
const JSON: &str = "application/x-amz-json-1.0";

/// A refusal of the tables' service.
#[derive(Deserialize)]
struct Refused {
    #[serde(rename = "__type")]
    kind: String,
}

/// Asks places of one region whether they are there.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Time, for signatures.
    pub world: World,
    /// How requests are sent.
    pub http: Http,
    /// The region of bucket and table.
    pub region: Region,
    /// Where object storage is; where Amazon has it unless told.
    pub s3: Option<String>,
    /// Where tables are; where Amazon has them unless told.
    pub dynamodb: Option<String>,
}

impl Reach {
    /// Whether `identity` may use `bucket` in this region (Amazon S3 API reference, `HeadBucket`).
    ///
    /// # Errors
    /// `state_bucket_missing`, `state_bucket_denied`, `state_bucket_elsewhere`; `Unavailable` and `Timeout` when there
    /// is no usable answer.
    pub async fn bucket(&self, identity: &Identity, bucket: &str) -> Result<()> {
        let mut url = self.place(self.s3.as_deref(), "s3")?;
        url.set_path(&format!("{}/{bucket}", url.path().trim_end_matches('/')));
        let hash = hex(&sha256(b""));
        let headers = [("x-amz-content-sha256", hash.as_str())];
        let request = self.http.head(url.clone());
        let signed = self.signed(request, "HEAD", &url, &headers, (b"", "s3"), identity)?;
        let reply = match self.http.send(signed, S3).await {
            Err(error) if error.code() == "redirected" => return Err(elsewhere()),
            reply => reply?,
        };
        match reply.status {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => {
                Err(Error::conflict("state_bucket_missing", format!("there is no bucket `{bucket}`"))
                    .hint("create it, or register the connection anew with the bucket's name"))
            }
            // What is asked in the wrong region is malformed there.
            StatusCode::BAD_REQUEST => Err(elsewhere()),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Err(Error::forbidden(
                "state_bucket_denied",
                format!("the role may not use bucket `{bucket}`"),
            )
            .hint("allow the role `s3:ListBucket` on it, and see that no bucket policy denies it")),
            status => Err(odd(S3, status)),
        }
    }

    /// Whether `identity` may use `table`, and it can hold locks: it is active and its only key is the text `LockID`
    /// (Amazon DynamoDB API reference, `DescribeTable`).
    ///
    /// # Errors
    /// `lock_table_missing`, `lock_table_denied`, `lock_table_unfit`; `Unavailable` and `Timeout` when there is no
    /// usable answer.
    pub async fn lock_table(&self, identity: &Identity, table: &str) -> Result<()> {
        let url = self.place(self.dynamodb.as_deref(), "dynamodb")?;
        let body = serde_json::json!({ "TableName": table }).to_string();
        let headers = [("content-type", JSON), ("x-amz-target", "DynamoDB_20120810.DescribeTable")];
        let request = self.http.post(url.clone());
        let signed = self.signed(request, "POST", &url, &headers, (body.as_bytes(), "dynamodb"), identity)?;
        let body = wiped(SecretBytes::new(body.into_bytes()));
        let reply = self.http.send(signed.body(body), DYNAMODB).await?;
        if reply.status.is_success() {
            return fit(&reply, table);
        }
        let refused = serde_json::from_slice::<Refused>(reply.body.expose());
        let kind = refused.map_or_else(|_| String::new(), |refused| refused.kind);
        match kind.rsplit('#').next().unwrap_or_default() {
            "ResourceNotFoundException" => Err(Error::conflict(
                "lock_table_missing",
                format!("there is no table `{table}` in this region"),
            )
            .hint("create it with the text `LockID` as its key, or leave it out: a lock file does, too")),
            "AccessDeniedException" | "UnrecognizedClientException" => Err(Error::forbidden(
                "lock_table_denied",
                format!("the role may not use table `{table}`"),
            )
            .hint("allow the role `dynamodb:DescribeTable`, `GetItem`, `PutItem` and `DeleteItem` on it")),
            _ => Err(odd(DYNAMODB, reply.status)),
        }
    }

    fn place(&self, given: Option<&str>, service: &str) -> Result<Url> {
        let region = self.region.as_str();
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let amazon = format!("https://{service}.{region}.{suffix}/");
        trusted_url(given.unwrap_or(&amazon), &[])
    }

    fn signed(
        &self,
        request: RequestBuilder,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        (body, service): (&[u8], &str),
        identity: &Identity,
    ) -> Result<RequestBuilder> {
        let host = host_of(url);
        let all: Vec<(&str, &str)> =
            [("host", host.as_str())].into_iter().chain(headers.iter().copied()).collect();
        let unsigned = sigv4::Request { method, path: url.path(), query: &[], headers: &all, body };
        let scope = sigv4::Scope { region: self.region.as_str(), service, time: self.world.now() };
        let added = sigv4::sign(&unsigned, identity, &scope);
        let mut request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        for (name, value) in added {
            let mut value = HeaderValue::from_str(&value).map_err(|_| {
                Error::unavailable("malformed_identity", "the borrowed key is not one of Amazon's")
            })?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        Ok(request)
    }
}

fn elsewhere() -> Error {
    Error::conflict("state_bucket_elsewhere", "the bucket is in another region")
        .hint("register the connection anew with the bucket's region")
}

fn odd(peer: &str, status: StatusCode) -> Error {
    Error::unavailable("odd_answer", format!("{peer} answered with status {}", status.as_u16()))
}

/// Whether a table can hold locks.
fn fit(reply: &Reply, table: &str) -> Result<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Described {
        table: Table,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Table {
        table_status: String,
        key_schema: Vec<Key>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Key {
        attribute_name: String,
    }
    let malformed =
        || Error::unavailable("malformed_answer", format!("{DYNAMODB} answered with something else"));
    let Described { table: found } = serde_json::from_slice(reply.body.expose()).map_err(|_| malformed())?;
    let keys: Vec<&str> = found.key_schema.iter().map(|key| key.attribute_name.as_str()).collect();
    let unfit = |why: &str| Err(Error::conflict("lock_table_unfit", format!("the table `{table}` {why}")));
    match (found.table_status.as_str(), keys.as_slice()) {
        ("ACTIVE" | "UPDATING", ["LockID"]) => Ok(()),
        ("ACTIVE" | "UPDATING", _) => unfit("has another key than `LockID`"),
        _ => unfit("is not active"),
    }
}
