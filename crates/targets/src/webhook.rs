//! Addresses that are told things over HTTPS.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use writ_crypto::{
    SecretBytes,
    hash::{hex, hmac_sha256},
};
use writ_kernel::{Error, Result, Timestamp};

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(15);

/// Which networks may be told things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Public addresses, over HTTPS.
    #[default]
    Public,
    /// Private addresses too, and this very machine even without TLS: what an operator allows for a network of theirs.
    Private,
}

/// An address that is told things.
#[derive(Debug, Clone)]
pub struct Webhook {
    url: Url,
    client: Client,
}

impl Webhook {
    /// The webhook at `url`.
    ///
    /// # Errors
    /// `Invalid` when the address is not one that may be told things.
    pub fn new(url: &str, reach: Reach) -> Result<Self> {
        let url = address(url, reach)?;
        // TLS needs its provider, and whoever set up borrowing has chosen it.
        writ_aws::Http::new(writ_aws::Limits::default())?;
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .dns_resolver(std::sync::Arc::new(Careful(reach)))
            .user_agent("writ")
            .build()
            .map_err(|error| Error::internal("cannot set up an HTTP client").because(error))?;
        Ok(Self { url, client })
    }

    /// Posts a JSON `body` once, signed with `key`: `Writ-Signature: t=<seconds>,v1=<hex>`, where the hex is
    /// HMAC-SHA-256 over `<seconds>.<body>`. `id` lets the receiver see a repetition.
    ///
    /// # Errors
    /// `Unavailable` or `Timeout` when there is no answer; `Unavailable` with `webhook_refused` for any status but 2xx.
    pub async fn tell(&self, id: &str, key: &SecretBytes, now: Timestamp, body: &SecretBytes) -> Result<()> {
        let seconds = now.seconds().to_string();
        let signature = hex(&hmac_sha256(key.expose(), &[seconds.as_bytes(), b".", body.expose()]));
        let told = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("writ-event-id", id)
            .header("writ-signature", format!("t={seconds},v1={signature}"))
            .body(writ_aws::wiped(SecretBytes::new(body.expose().to_vec())))
            .send()
            .await;
        match told {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                let status = answer.status().as_u16();
                Err(Error::unavailable(
                    "webhook_refused",
                    format!("the webhook answered with status {status}"),
                ))
            }
            Err(error) if error.is_timeout() => {
                Err(Error::timeout("webhook_silent", "the webhook did not answer in time"))
            }
            Err(error) => Err(Error::unavailable("webhook_unreachable", "the webhook cannot be reached")
                .because(error.without_url())),
        }
    }
}

fn address(text: &str, reach: Reach) -> Result<Url> {
    let refuse = |why: &str| Error::invalid("untrusted_address", why).at("url");
    let url: Url = text.parse().map_err(|_| refuse("the address is not a URL"))?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(refuse("an address has no user, password or fragment"));
    }
    let host = url.host_str().ok_or_else(|| refuse("the address has no host"))?;
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if literal.is_some_and(|ip| !allowed(ip, reach)) {
        return Err(refuse("the address is in a private network"));
    }
    let near = literal.is_some_and(|ip| ip.is_loopback()) && reach == Reach::Private;
    match url.scheme() {
        "https" => Ok(url),
        "http" if near => Ok(url),
        _ => Err(refuse("the address is not https")),
    }
}

/// Looks names up, and keeps the addresses that may be told things: also those a name turns to later.
struct Careful(Reach);

impl Resolve for Careful {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let kept: Vec<SocketAddr> = found.filter(|address| allowed(address.ip(), reach)).collect();
            if kept.is_empty() {
                return Err("no address that may be told things".into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

fn allowed(ip: IpAddr, reach: Reach) -> bool {
    reach == Reach::Private || is_public(ip.to_canonical())
}

/// Whether it is an address of the public internet (IANA special-purpose address registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    // Global unicast is 2000::/3; in it, Teredo, documentation, 6to4 and what else only leads elsewhere is not.
    (0x2000..0x4000).contains(&a)
        && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
        && a != 0x2002
        && !(a == 0x3fff && b < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_over_https_are_told_things() {
        for url in [
            "http://example.com/",
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00:ec2::254]/",
            "https://[64:ff9b::a00:1]/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://user@example.com/",
            "ftp://example.com/",
            "nonsense",
        ] {
            assert!(address(url, Reach::Public).is_err(), "{url}");
        }
        assert!(address("https://example.com/hook?x=1", Reach::Public).is_ok());
        assert!(address("https://8.8.8.8/", Reach::Public).is_ok());
    }

    #[test]
    fn a_private_network_is_reached_when_the_operator_allows_it() {
        assert!(address("https://10.1.2.3/", Reach::Private).is_ok());
        assert!(address("http://127.0.0.1:9/", Reach::Private).is_ok());
        assert!(address("http://10.1.2.3/", Reach::Private).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_not_followed() {
        let hook = Webhook::new("https://localhost:9/", Reach::Public).unwrap();
        let (key, body) = (SecretBytes::new(vec![1]), SecretBytes::new(vec![2]));
        let error = hook.tell("1", &key, Timestamp::from_micros(0), &body).await.unwrap_err();
        assert!(format!("{error:?}").contains("no address that may be told things"), "{error:?}");
    }
}
