//! Named keys for programs in other languages: `named_keys make <file>` writes keys of every type and what they encrypted,
//! signed, authenticated and wrapped; `named_keys check <file>` opens and verifies a file that another program wrote in
//! the same layout. `tests/interop/run` uses it; the layout is in `tests/interop/README.md`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program of the tests fails by panicking"
)]

use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use uuid::Uuid;
use writ_crypto::{
    Entropy, KeyRef, SecretKey,
    named::{
        Ciphertext, FieldText, Hash, IndexKey, KeyType, Mac, Marshaling, Material, OaepHash, Options,
        PreparedKey, PrivateFormat, PublicKey, RowKeyText, Scheme, Signature, plain_index, wrap_for_import,
    },
};
use writ_kernel::{SystemClock, World};

const MESSAGES: [&str; 3] = ["", "4111 1111 1111 1111", "J\u{fc}rgen \u{2014} \u{1f510}"];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let world = World::new(Arc::new(SystemClock), Arc::new(Entropy::os()));
    match arguments[1].as_str() {
        "make" => std::fs::write(&arguments[2], make(&world).to_string()).unwrap(),
        "check" => {
            let file: Value = serde_json::from_slice(&std::fs::read(&arguments[2]).unwrap()).unwrap();
            println!("{} things checked", check(&file));
        }
        other => unreachable!("`{other}` is neither make nor check"),
    }
}

// --- making ------------------------------------------------------------------------------------------------------

fn make(world: &World) -> Value {
    let name = KeyRef { id: world.uuid(), version: 7 };
    let keys: Vec<Value> = KeyType::all().map(|key_type| make_key(world, name, key_type)).collect();
    let index_key = SecretKey::generate(world);
    let index = IndexKey::new(SecretKey::new(*index_key.expose()));
    let text = "  Ada@Example.ORG\u{a0}";
    json!({
        "id": name.id.to_string(),
        "version": name.version,
        "keys": keys,
        "indexes": [
            { "key": hex(index_key.expose()), "field": null, "text": text, "index": hex(&index.index(text)) },
            { "key": hex(index_key.expose()), "field": "mail", "text": text,
              "index": hex(&index.for_field("mail").index(text)) },
            { "key": null, "field": null, "text": text, "index": hex(&plain_index(text)) },
        ],
    })
}

fn make_key(world: &World, name: KeyRef, key_type: KeyType) -> Value {
    let material = Material::generate(world, key_type).unwrap();
    let key = material.prepare(name).unwrap();
    let form = |format| {
        material.export(format).ok().map(|it| String::from_utf8(it.expose().to_vec()).unwrap_or_default())
    };
    json!({
        "type": key_type.as_str(),
        "raw": material.export(PrivateFormat::Raw).ok().map(|it| hex(it.expose())),
        "pkcs8": key_type.is_asymmetric().then(|| form(PrivateFormat::Pkcs8Pem)),
        "jwk": form(PrivateFormat::Jwk),
        "public": key.public().map(|it| it.to_pem().unwrap()),
        "publicJwk": key.public().map(|it| it.to_jwk().unwrap()),
        "encrypted": encrypted(world, &key),
        "signed": signed(&key),
        "codes": codes(&key),
        "rows": rows(world, &key),
        "wrapped": wrapped(&key),
        "imports": imports(world, &key),
    })
}

fn encrypted(world: &World, key: &PreparedKey) -> Vec<Value> {
    let key_type = key.key_type();
    let mut options = vec![];
    if key_type.encrypts() {
        options.push(Options::default());
    }
    if key_type.takes_aad() {
        options.push(Options { aad: b"order 7", ..Options::default() });
    }
    if key_type.derives() {
        options.push(Options { aad: b"order 7", context: Some(b"customer 1"), ..Options::default() });
        options.push(Options { context: Some(b"customer 1"), convergent: true, ..Options::default() });
    }
    let every = options.iter().flat_map(|options| MESSAGES.map(|message| (options, message)));
    every
        .map(|(options, message)| {
            let body = key.encrypt(world, options, message.as_bytes()).unwrap();
            json!({
                "aad": hex(options.aad),
                "context": options.context.map(hex),
                "convergent": options.convergent,
                "plaintext": hex(message.as_bytes()),
                "text": Ciphertext { version: key.key().version, body }.to_string(),
            })
        })
        .collect()
}

fn signed(key: &PreparedKey) -> Vec<Value> {
    let mut out = Vec::new();
    for hash in Hash::ALL {
        for padding in ["pss", "pkcs1v15"] {
            for salt in ["auto", "hash"] {
                for marshaling in ["asn1", "jws"] {
                    let choices = json!({ "hash": hash.as_str(), "padding": padding, "salt": salt,
                        "marshaling": marshaling, "message": hex(MESSAGES[2].as_bytes()) });
                    if is_choice(key.key_type(), &choices) {
                        out.extend(sign(key, choices));
                    }
                }
            }
        }
    }
    out
}

/// Whether these choices make a difference to this type; if not, one set of them stands for all.
fn is_choice(key_type: KeyType, choices: &Value) -> bool {
    let name = key_type.as_str();
    let plain = |names: &[&str]| {
        names.iter().all(|it| ["pss", "auto", "asn1"].contains(&choices[*it].as_str().unwrap()))
    };
    match name {
        _ if name.starts_with("rsa") => {
            plain(&["marshaling"]) && (choices["padding"] == "pss" || choices["salt"] == "auto")
        }
        _ if name.starts_with("ecdsa") => plain(&["padding", "salt"]),
        _ => plain(&["padding", "salt", "marshaling"]) && choices["hash"] == "sha2-256",
    }
}

fn sign(key: &PreparedKey, mut choices: Value) -> Option<Value> {
    let (scheme, message) = (scheme(&choices), unhex(&choices["message"]));
    let bytes = key.sign(&scheme, &message).ok()?;
    let signature = Signature { version: key.key().version, bytes };
    choices["text"] = signature.to_text(scheme.marshaling).into();
    Some(choices)
}

fn codes(key: &PreparedKey) -> Vec<Value> {
    let message = MESSAGES[1].as_bytes();
    let code = |hash: Hash| {
        let mac = Mac { version: key.key().version, bytes: key.mac(hash, message) };
        json!({ "hash": hash.as_str(), "message": hex(message), "text": mac.to_string() })
    };
    Hash::ALL.map(code).into()
}

fn rows(world: &World, key: &PreparedKey) -> Vec<Value> {
    let aad = b"tenant 1 | customers | 7";
    let Ok(sealer) = key.row_sealer(world, aad) else { return vec![] };
    let field = |name: &str, alone: bool, message: &str| {
        let message = message.as_bytes();
        let field = if alone {
            sealer.seal_alone(world, name, message).unwrap()
        } else {
            sealer.seal(world, name, message).unwrap()
        };
        json!({ "name": name, "alone": alone, "plaintext": hex(message), "text": field.to_string() })
    };
    vec![json!({
        "aad": hex(aad),
        "rowKey": sealer.row_key().to_string(),
        "fields": [field("mail", false, MESSAGES[1]), field("phone", false, ""), field("n\u{e4}me", true, MESSAGES[2])],
    })]
}

fn wrapped(key: &PreparedKey) -> Vec<Value> {
    let secrets = [vec![1; 32], vec![2; 7], vec![3; 54]];
    let wrap =
        |secret: &Vec<u8>| Some(json!({ "secret": hex(secret), "blob": hex(&key.wrap_key(secret).ok()?) }));
    secrets.iter().filter_map(wrap).collect()
}

fn imports(world: &World, key: &PreparedKey) -> Vec<Value> {
    let Some(public) = key.public() else { return vec![] };
    let secret = vec![9; 54];
    let import = |name: &str| {
        let hash: OaepHash = name.parse().unwrap();
        let blob = wrap_for_import(world, public, key.key(), hash, &secret).ok()?;
        Some(json!({ "hash": name, "secret": hex(&secret), "blob": hex(&blob) }))
    };
    ["SHA1", "SHA256", "SHA384", "SHA512"].into_iter().filter_map(import).collect()
}

// --- checking ----------------------------------------------------------------------------------------------------

fn check(file: &Value) -> usize {
    let id = Uuid::parse_str(text(&file["id"])).unwrap();
    let version = u32::try_from(file["version"].as_u64().unwrap()).unwrap();
    let keys = list(&file["keys"]).iter().map(|it| check_key(KeyRef { id, version }, it)).sum::<usize>();
    for it in list(&file["indexes"]) {
        assert_eq!(index(it).to_vec(), unhex(&it["index"]));
    }
    keys + list(&file["indexes"]).len()
}

fn index(it: &Value) -> [u8; 32] {
    let text = text(&it["text"]);
    if it["key"].is_null() {
        return plain_index(text);
    }
    let key = IndexKey::new(SecretKey::from_slice(&unhex(&it["key"])).unwrap());
    it["field"].as_str().map_or_else(|| key.index(text), |field| key.for_field(field).index(text))
}

fn check_key(name: KeyRef, it: &Value) -> usize {
    let key_type: KeyType = text(&it["type"]).parse().unwrap();
    let forms =
        [("raw", PrivateFormat::Raw), ("pkcs8", PrivateFormat::Pkcs8Pem), ("jwk", PrivateFormat::Jwk)];
    let materials: Vec<Material> = forms
        .into_iter()
        .filter(|(form, _)| it[*form].is_string())
        .map(|(form, format)| {
            let bytes = if form == "raw" { unhex(&it[form]) } else { text(&it[form]).as_bytes().to_vec() };
            Material::import(key_type, format, &bytes).unwrap()
        })
        .collect();
    let first = materials[0].to_sealed_bytes();
    assert!(
        materials.iter().all(|it| it.to_sealed_bytes().ct_eq(first.expose())),
        "the forms of {key_type} differ"
    );
    let key = materials[0].prepare(name).unwrap();
    let publics = [
        it["public"].as_str().map(|pem| PublicKey::from_pem(pem).unwrap()),
        it["publicJwk"].as_str().map(|jwk| PublicKey::from_jwk(jwk).unwrap()),
    ];
    publics.iter().flatten().for_each(|public| assert_eq!(Some(public), key.public()));
    materials.len()
        + each(it, "encrypted", |it| check_encrypted(&key, it))
        + each(it, "signed", |it| check_signed(&key, it))
        + each(it, "codes", |it| check_code(&key, it))
        + each(it, "rows", |it| check_row(&key, it))
        + each(it, "wrapped", |it| {
            assert!(key.unwrap_key(&unhex(&it["blob"])).unwrap().ct_eq(&unhex(&it["secret"])));
            assert!(key.unwrap_key(&spoilt(unhex(&it["blob"]))).is_err());
        })
        + each(it, "imports", |it| {
            let hash = text(&it["hash"]).parse().unwrap();
            assert!(key.unwrap_import(hash, &unhex(&it["blob"])).unwrap().ct_eq(&unhex(&it["secret"])));
            assert!(key.unwrap_import(hash, &spoilt(unhex(&it["blob"]))).is_err());
        })
}

fn each(it: &Value, what: &str, check: impl Fn(&Value)) -> usize {
    list(&it[what]).iter().inspect(|it| check(it)).count()
}

fn check_encrypted(key: &PreparedKey, it: &Value) {
    let (aad, context) = (unhex(&it["aad"]), it["context"].as_str().map(|_| unhex(&it["context"])));
    let convergent = it["convergent"].as_bool().unwrap();
    let options = Options { aad: &aad, context: context.as_deref(), convergent };
    let ciphertext = Ciphertext::parse(text(&it["text"])).unwrap();
    assert_eq!(ciphertext.version, key.key().version);
    let opened = key.decrypt(&options, &ciphertext.body).unwrap();
    assert!(opened.ct_eq(&unhex(&it["plaintext"])), "{}", key.key_type());
    assert!(key.decrypt(&options, &spoilt(ciphertext.body)).is_err());
}

fn check_signed(key: &PreparedKey, it: &Value) {
    let scheme = scheme(it);
    let signature = Signature::parse(text(&it["text"]), scheme.marshaling).unwrap();
    let message = unhex(&it["message"]);
    assert!(key.verify(&scheme, &message, &signature.bytes).unwrap(), "{} {it}", key.key_type());
    assert!(!key.verify(&scheme, &message, &spoilt(signature.bytes)).unwrap());
}

fn check_code(key: &PreparedKey, it: &Value) {
    let (hash, mac) = (text(&it["hash"]).parse().unwrap(), Mac::parse(text(&it["text"])).unwrap());
    assert!(key.mac_matches(hash, &unhex(&it["message"]), &mac.bytes), "{} {hash}", key.key_type());
}

fn check_row(key: &PreparedKey, it: &Value) {
    let aad = unhex(&it["aad"]);
    let opener = key.row_opener(&aad, &RowKeyText::parse(text(&it["rowKey"])).unwrap()).unwrap();
    for it in list(&it["fields"]) {
        let field = FieldText::parse(text(&it["text"])).unwrap();
        let open = |name: &str| {
            if field.stands_alone() { key.open_field(&aad, name, &field) } else { opener.open(name, &field) }
        };
        assert!(open(text(&it["name"])).unwrap().ct_eq(&unhex(&it["plaintext"])));
        assert!(open("another").is_err());
    }
}

fn scheme(it: &Value) -> Scheme {
    let marshaling: Marshaling = text(&it["marshaling"]).parse().unwrap();
    Scheme {
        hash: text(&it["hash"]).parse().unwrap(),
        prehashed: false,
        padding: text(&it["padding"]).parse().unwrap(),
        salt: text(&it["salt"]).parse().unwrap(),
        marshaling,
    }
}

fn spoilt(mut bytes: Vec<u8>) -> Vec<u8> {
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(text(value).as_bytes()).unwrap()
}
