//! Protection by a hardware security module: SoftHSM, by the module that `scripts/test-env softhsm` prepares.

use std::{fs, path::PathBuf};

use tempfile::TempDir;
use writ_crypto::password;
use writ_kernel::Kind;
use writ_seal::{Device, Pin, Protection, Seal};
use writ_store::{on_both, testing::TestDb};

use crate::{Vault, opened, passphrase, sealed, secret};

/// Everybody's token, but for those who give a wrong PIN: a process that is signed in is not asked again.
const TOKEN: &str = "writ-tests";
const TOKEN_OF_THE_FORGETFUL: &str = "writ-tests-pin";

fn module() -> PathBuf {
    let module = std::env::var_os("WRIT_SOFTHSM_MODULE").map(PathBuf::from);
    module.expect("these tests need SoftHSM: eval \"$(scripts/test-env softhsm)\"")
}

/// A device with a key of its own name, and where its PIN is.
fn device(db: &TestDb, files: &TempDir, pin: &str) -> Device {
    let file = files.path().join("pin");
    fs::write(&file, format!("{pin}\n")).unwrap();
    let key = format!("key-{}", db.db.world().uuid());
    Device { module: module(), token: TOKEN.to_owned(), key, pin: Pin::File(file) }
}

/// A closed seal, as after a start of the server.
fn started(db: &TestDb, device: &Device) -> Seal {
    let nowhere = PathBuf::from("/nonexistent/dev.key");
    let cost = password::Params::DANGEROUSLY_CHEAP;
    // The world of the database, since ids must differ between tests that share a token.
    Seal::with_device(db.db.clone(), db.db.world().clone(), nowhere, cost, Some(device.clone()))
}

async fn refusal(seal: &Seal) -> (Kind, &'static str) {
    let error = seal.unseal(None).await.unwrap_err();
    (error.kind(), error.code())
}

on_both! {
    async fn a_device_opens_it_again_by_itself(db: &TestDb) {
        let (files, device) = fitted(db);
        let seal = started(db, &device);
        assert!(seal.init(Protection::Pkcs11).await.unwrap().is_empty(), "nobody holds a share");
        let tenant = tenant(db, &seal).await;
        let value = sealed(&seal, db, tenant, "kept").await;

        let again = started(db, &device);
        let status = again.unseal(None).await.unwrap();
        assert_eq!((status.sealed, status.protection), (false, Some("pkcs11")));
        assert_eq!(opened(&again, db, tenant, &value).await.unwrap().expose(), b"kept");
        drop(files);
    }

    async fn the_root_key_rotates_under_the_same_device(db: &TestDb) {
        let (files, device) = fitted(db);
        let seal = started(db, &device);
        seal.init(Protection::Pkcs11).await.unwrap();
        let tenant = tenant(db, &seal).await;
        let value = sealed(&seal, db, tenant, "kept").await;
        assert_eq!(seal.rotate_root(None).await.unwrap(), Some(2));
        let again = started(db, &device);
        again.unseal(None).await.unwrap();
        assert_eq!(opened(&again, db, tenant, &value).await.unwrap().expose(), b"kept");
        drop(files);
    }

    async fn a_rekey_leads_to_a_device_and_away_from_it(db: &TestDb) {
        let (files, device) = fitted(db);
        let seal = started(db, &device);
        seal.init(passphrase("correct horse battery")).await.unwrap();
        let tenant = tenant(db, &seal).await;
        let value = sealed(&seal, db, tenant, "kept").await;

        rekey(db, &seal, Protection::Pkcs11).await;
        let by_device = started(db, &device);
        by_device.unseal(None).await.unwrap();
        rekey(db, &by_device, passphrase("another horse entirely")).await;

        let by_passphrase = started(db, &device);
        assert_eq!(refusal(&by_passphrase).await, (Kind::Invalid, "key_missing"));
        by_passphrase.unseal(Some(secret("another horse entirely"))).await.unwrap();
        assert_eq!(opened(&by_passphrase, db, tenant, &value).await.unwrap().expose(), b"kept");
        drop(files);
    }

    async fn what_is_stored_opens_nothing_without_the_devices_key(db: &TestDb) {
        let (files, device) = fitted(db);
        let seal = started(db, &device);
        seal.init(Protection::Pkcs11).await.unwrap();
        // The database knows the label, so the configuration cannot lead it to another key.
        let renamed = Device { key: format!("{}-other", device.key), ..device.clone() };
        started(db, &renamed).unseal(None).await.unwrap();
        destroy_key(&device);
        assert_eq!(refusal(&started(db, &device)).await, (Kind::Unavailable, "hsm_key_missing"));
        // And no other key in its place opens it.
        let elsewhere = TestDb::sqlite().await;
        started(&elsewhere, &device).init(Protection::Pkcs11).await.unwrap();
        assert_eq!(refusal(&started(db, &device)).await, (Kind::Unauthenticated, "wrong_key"));
        drop(files);
    }
}

fn fitted(db: &TestDb) -> (TempDir, Device) {
    let files = TempDir::new().unwrap();
    let device = device(db, &files, "1234");
    (files, device)
}

async fn tenant(db: &TestDb, seal: &Seal) -> writ_kernel::TenantId {
    let tenant = db.db.world().id();
    let mut tx = db.db.tx(tenant).await.unwrap();
    seal.create_tenant(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    tenant
}

async fn rekey(db: &TestDb, seal: &Seal, protection: Protection) {
    let prepared = seal.prepare(protection).await.unwrap();
    let mut tx = db.db.tx(db.db.world().id()).await.unwrap();
    seal.rekey(&mut tx, prepared).await.unwrap();
    tx.commit().await.unwrap();
}

/// Looks at the token from outside, as another program would.
fn key_of(device: &Device) -> (cryptoki::session::Session, cryptoki::object::ObjectHandle) {
    use cryptoki::{
        context::{CInitializeArgs, CInitializeFlags, Pkcs11},
        object::Attribute,
        session::UserType,
        types::AuthPin,
    };
    let module = Pkcs11::new(&device.module).unwrap();
    let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let mut slots = module.get_slots_with_token().unwrap().into_iter();
    let slot = slots.find(|slot| module.get_token_info(*slot).unwrap().label() == device.token).unwrap();
    let session = module.open_rw_session(slot).unwrap();
    let _ = session.login(UserType::User, Some(&AuthPin::from("1234")));
    let found = session.find_objects(&[Attribute::Label(device.key.clone().into_bytes())]).unwrap();
    assert_eq!(found.len(), 1);
    (session, found[0])
}

fn destroy_key(device: &Device) {
    let (session, key) = key_of(device);
    session.destroy_object(key).unwrap();
}

async fn on_sqlite() -> (TestDb, TempDir, Device) {
    let db = TestDb::sqlite().await;
    let (files, device) = fitted(&db);
    (db, files, device)
}

#[tokio::test]
async fn the_key_cannot_leave_the_device() {
    use cryptoki::object::{Attribute, AttributeType};
    let (db, _files, device) = on_sqlite().await;
    started(&db, &device).init(Protection::Pkcs11).await.unwrap();
    let (session, key) = key_of(&device);
    let kinds = [AttributeType::Extractable, AttributeType::Sensitive, AttributeType::Value];
    let told = session.get_attributes(key, &kinds).unwrap();
    assert!(told.contains(&Attribute::Extractable(false)) && told.contains(&Attribute::Sensitive(true)));
    assert!(!told.iter().any(|it| matches!(it, Attribute::Value(_))), "its bytes are not told");
}

#[tokio::test]
async fn a_key_that_could_leave_is_not_used() {
    use cryptoki::{mechanism::Mechanism, object::Attribute};
    let (db, _files, device) = on_sqlite().await;
    // Signs in and makes a key of ours, in whose place comes one that may be read.
    started(&db, &device).init(Protection::Pkcs11).await.unwrap();
    let (session, key) = key_of(&device);
    session.destroy_object(key).unwrap();
    let template = [
        Attribute::Token(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen(32.into()),
        Attribute::Label(device.key.clone().into_bytes()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    let elsewhere = TestDb::sqlite().await;
    let seal = started(&elsewhere, &device);
    assert_eq!(seal.init(Protection::Pkcs11).await.err().unwrap().code(), "hsm_key_unfit");
    assert!(!seal.status().await.unwrap().initialized);
}

#[tokio::test]
async fn without_a_device_nothing_is_protected_by_one() {
    let db = TestDb::sqlite().await;
    let seal = Vault::empty(&db).seal;
    let error = seal.init(Protection::Pkcs11).await.err().unwrap();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "hsm_not_configured"));
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let (db, files, device) = on_sqlite().await;
    started(&db, &device).init(Protection::Pkcs11).await.unwrap();
    let module = Device { module: "/nonexistent/module.so".into(), ..device.clone() };
    assert_eq!(refusal(&started(&db, &module)).await, (Kind::Unavailable, "hsm_module"));
    let file = Device { pin: Pin::File(files.path().join("none")), ..device.clone() };
    assert_eq!(refusal(&started(&db, &file)).await, (Kind::Unavailable, "hsm_pin_missing"));
    let variable = Device { pin: Pin::Variable("WRIT_NO_SUCH_VARIABLE".into()), ..device.clone() };
    assert_eq!(refusal(&started(&db, &variable)).await, (Kind::Unavailable, "hsm_pin_missing"));

    let elsewhere = TestDb::sqlite().await;
    let token = Device { token: "no-such-token".into(), ..device };
    let error = started(&elsewhere, &token).init(Protection::Pkcs11).await.err().unwrap();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "hsm_token_missing"));
}

#[tokio::test]
async fn a_wrong_pin_is_tried_once_and_a_new_one_is_tried_again() {
    let (db, files, device) = on_sqlite().await;
    let device = Device { token: TOKEN_OF_THE_FORGETFUL.to_owned(), ..device };
    started(&db, &device).init(Protection::Pkcs11).await.unwrap();
    let seal = started(&db, &device);
    let pin = files.path().join("pin");
    fs::write(&pin, "4321").unwrap();
    assert_eq!(refusal(&seal).await, (Kind::Unauthenticated, "hsm_pin_wrong"));
    // The token would not mind, but is not asked: it still believes the last one was wrong.
    let again = seal.unseal(None).await.unwrap_err();
    assert_eq!(again.code(), "hsm_pin_wrong");
    assert!(again.to_string().contains("not tried again"), "{again}");
    fs::write(&pin, "1234").unwrap();
    assert!(!seal.unseal(None).await.unwrap().sealed);
}
