//! Named keys: what each type does, and what it refuses.

mod encrypt;
mod fields;
mod keys;
mod known;
mod sign;
mod wrap;

use std::sync::LazyLock;

use uuid::Uuid;
use writ_crypto::{
    KeyRef,
    named::{KeyType, Material, PreparedKey},
};

use crate::world;

const _: () = {
    const fn shared<T: Send + Sync + 'static>() {}
    shared::<PreparedKey>();
    shared::<Material>();
    shared::<writ_crypto::named::PublicKey>();
    shared::<writ_crypto::named::RowOpener>();
    shared::<writ_crypto::named::RowSealer>();
};

/// Version 3 of a key.
const NAME: KeyRef = KeyRef { id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001), version: 3 };

/// Generating RSA keys takes seconds: each size once.
static RSA: LazyLock<Vec<Material>> = LazyLock::new(|| {
    [KeyType::Rsa2048, KeyType::Rsa3072, KeyType::Rsa4096]
        .map(|it| Material::generate(&world(), it).unwrap())
        .into()
});

fn material(key_type: KeyType) -> Material {
    let rsa =
        RSA_TYPES.contains(&key_type).then(|| RSA.iter().find(|it| it.key_type() == key_type)).flatten();
    match rsa {
        Some(material) => Material::from_sealed_bytes(material.to_sealed_bytes().expose()).unwrap(),
        None => Material::generate(&world(), key_type).unwrap(),
    }
}

const RSA_TYPES: [KeyType; 3] = [KeyType::Rsa2048, KeyType::Rsa3072, KeyType::Rsa4096];

fn key(key_type: KeyType) -> PreparedKey {
    material(key_type).prepare(NAME).unwrap()
}

fn types(which: impl Fn(KeyType) -> bool) -> Vec<KeyType> {
    let types: Vec<_> = KeyType::all().filter(|it| which(*it)).collect();
    assert!(!types.is_empty());
    types
}
