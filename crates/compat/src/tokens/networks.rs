//! Networks that a token is bound to: those of one list that are in another.

use std::net::IpAddr;

/// One network: the bits of its addresses, moved to the left, and how many of them count.
#[derive(Clone, Copy)]
struct Network {
    four: bool,
    bits: u128,
    length: u32,
}

impl Network {
    fn parse(cidr: &str) -> Option<Self> {
        let (address, length) = match cidr.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (cidr, None),
        };
        let (four, bits, most) = match address.parse::<IpAddr>().ok()? {
            IpAddr::V4(address) => (true, u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (false, address.to_bits(), 128),
        };
        let length = length.unwrap_or(most);
        (length <= most).then_some(Self { four, bits, length })
    }

    fn is_in(self, other: Self) -> bool {
        let differing = (self.bits ^ other.bits).leading_zeros();
        self.four == other.four && self.length >= other.length && differing >= other.length
    }
}

fn is_in(cidr: &str, other: &str) -> bool {
    match (Network::parse(cidr), Network::parse(other)) {
        (Some(network), Some(other)) => network.is_in(other),
        _ => false,
    }
}

/// Whether each of these networks is in one of `others`. No `others` are any network.
pub(crate) fn inside(cidrs: &[String], others: &[String]) -> bool {
    others.is_empty() || cidrs.iter().all(|cidr| others.iter().any(|other| is_in(cidr, other)))
}

/// The networks that are in both lists, of which an empty one is any network. What two lists have in common that
/// have nothing in common is a text that is no network, and so contains nobody.
pub(crate) fn common(one: &[String], other: &[String]) -> Vec<String> {
    if one.is_empty() || other.is_empty() {
        return one.iter().chain(other).cloned().collect();
    }
    let narrow = |cidrs: &[String], others: &[String]| -> Vec<String> {
        cidrs.iter().filter(|cidr| others.iter().any(|other| is_in(cidr, other))).cloned().collect()
    };
    let mut both = narrow(one, other);
    both.extend(narrow(other, one));
    both.sort();
    both.dedup();
    if both.is_empty() {
        both.push("none".to_owned());
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(cidrs: &[&str]) -> Vec<String> {
        cidrs.iter().map(|cidr| (*cidr).to_owned()).collect()
    }

    #[test]
    fn what_two_lists_have_in_common_is_in_both() {
        let common = |one: &[&str], other: &[&str]| common(&list(one), &list(other));
        assert_eq!(common(&["10.0.0.0/8"], &["10.1.0.0/16", "192.0.2.7"]), ["10.1.0.0/16"]);
        assert_eq!(common(&["10.1.2.3"], &["10.0.0.0/8"]), ["10.1.2.3"]);
        assert_eq!(common(&[], &["10.0.0.0/8"]), ["10.0.0.0/8"]);
        assert_eq!(common(&["10.0.0.0/8"], &["11.0.0.0/8"]), ["none"]);
        assert_eq!(common(&["0.0.0.0/0"], &["::/0"]), ["none"]);
        assert_eq!(common(&["2001:db8::/32"], &["2001:db8:1::/48"]), ["2001:db8:1::/48"]);
    }

    #[test]
    fn a_wider_network_is_not_inside_a_narrower_one() {
        let inside = |one: &[&str], other: &[&str]| inside(&list(one), &list(other));
        assert!(inside(&["10.1.0.0/16"], &["10.0.0.0/8"]) && inside(&["10.1.0.0/16"], &[]));
        assert!(!inside(&["10.0.0.0/8"], &["10.1.0.0/16"]) && !inside(&["x"], &["0.0.0.0/0"]));
    }
}
