//! Sealing and unsealing, with a passphrase and with shares.

use crate::{house::House, terminal::Terminal};

/// An administrator of a server that was initialised with `protection`, and the secrets that were shown.
fn initialised(house: &House, input: &str, protection: &str) -> (Terminal, Vec<String>) {
    let line = format!("init --protection {protection} --admin root");
    let mut shown: Vec<_> =
        house.stranger().typing(input, &line).well().out.lines().map(str::to_owned).collect();
    let root = house.person(&shown.pop().unwrap());
    (root, shown)
}

#[test]
fn shares_open_the_server_one_by_one_or_together() {
    let house = House::without_tool();
    let (root, shares) = initialised(&house, "", "shamir --threshold 2 --shares 3");
    assert_eq!(shares.len(), 3);
    root.run("seal").well();
    root.typing("no share\n", "unseal").badly(2, "error: ");
    assert!(root.typing(&shares[0], "unseal").well().out.contains("1 of 2 shares are given"));
    assert!(root.run("status").out.contains("1 of 2 given"));
    root.run("unseal --reset").well();
    assert!(root.run("status").out.contains("0 of 2 given"));
    assert!(
        root.typing(&format!("{}\n{}\n", shares[2], shares[0]), "unseal").well().out.contains("is unsealed")
    );
    root.run("status").well();
}

#[test]
fn a_passphrase_opens_the_server_and_gives_way_to_shares() {
    let house = House::without_tool();
    house.stranger().typing("short\n", "init --protection passphrase --admin root").badly(2, "12");
    let (root, shares) = initialised(&house, "correct horse battery\n", "passphrase");
    assert!(shares.is_empty());
    root.run("seal").well();
    root.typing("another horse battery\n", "unseal").badly(1, "error: ");
    root.typing("", "unseal").badly(2, "no passphrase was given");
    root.typing("correct horse battery\n", "unseal").well();
    root.typing("correct horse battery\n", "rotate-root").well();
    let said = root.run("rekey --protection shamir --threshold 2 --shares 2").well();
    root.run("seal").well();
    root.typing("correct horse battery\n", "unseal").badly(2, "error: ");
    assert!(root.typing(&said.out, "unseal").well().out.contains("is unsealed"));
    root.run("whoami").well();
}
