//! Named keys at the command line, and what is done with them.

use crate::{house::House, terminal::Terminal};

/// Somebody who develops in the environment `dev` of a new tenant.
fn developer(house: &House) -> Terminal {
    let ada = house.tenant();
    ada.run("env create dev --kind dev").well();
    house.member(&ada, "bob", "developer").with("WRIT_ENVIRONMENT", "dev")
}

#[test]
fn what_is_encrypted_is_decrypted_after_a_rotation_and_not_below_the_minimum() {
    let house = House::without_tool();
    let bob = developer(&house);
    bob.run("keys create app").well();
    let first = bob.typing("hello\n", "encrypt -k app --aad row-7").well().line().to_owned();
    assert!(first.starts_with("vault:v1:"), "{first}");
    bob.run("keys rotate app").well();
    assert_eq!(bob.typing(&first, "decrypt -k app --aad row-7").well().out, "hello\n");
    bob.typing(&first, "decrypt -k app --aad row-8").badly(2, "error: ");
    let second = bob.typing("hello\n", "encrypt -k app").well().line().to_owned();
    assert!(second.starts_with("vault:v2:"), "{second}");
    bob.run("keys min-version app 2").well();
    bob.typing(&first, "decrypt -k app --aad row-7").badly(1, "error: ");
    assert_eq!(bob.typing(&second, "decrypt -k app").well().out, "hello\n");
}

#[test]
fn what_is_signed_is_verified_and_anything_else_is_not() {
    let house = House::without_tool();
    let bob = developer(&house);
    bob.run("keys create release --algorithm ml-dsa-65").well();
    let signature = bob.typing("artifact", "sign -k release").well().line().to_owned();
    bob.typing("artifact", &format!("verify -k release --signature {signature}")).well();
    bob.typing("another", &format!("verify -k release --signature {signature}")).badly(1, "not of this key");
    let public = bob.run("keys public release").well().out;
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----"), "{public}");
    assert!(bob.run("keys list").well().out.contains("release"));
    assert!(bob.run("keys show release").well().out.contains("VERSION"));
}

#[test]
fn a_key_whose_end_is_scheduled_is_not_used_until_that_is_called_off() {
    let house = House::without_tool();
    let bob = developer(&house);
    bob.run("keys create app --algorithm aes256-gcm96").well();
    bob.run("keys disable app").well();
    bob.typing("x", "encrypt -k app").badly(1, "error: ");
    bob.run("keys enable app").well();
    bob.typing("x", "encrypt -k app").well();
    // Ending a key is not a developer's act.
    bob.run("keys delete app --yes").badly(1, "error: ");
    bob.typing("x", "encrypt -k app").well();
}
