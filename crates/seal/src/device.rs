//! A hardware security module, spoken to by PKCS#11: it holds a key that never leaves it, and seals the key-encryption
//! key with that.

use std::{
    env, fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as Fault, RvError},
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use writ_crypto::{Aad, SecretBytes, SecretKey, SecretString, hash};
use writ_kernel::{Error, Result, World};

/// Where the module of a device is, and what of it is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The device's PKCS#11 module, a shared library. It is loaded when it is first needed.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// The label of the key on it.
    pub key: String,
    /// Where the PIN of the token's user comes from.
    pub pin: Pin,
}

/// Where a PIN comes from: never a configuration file, never an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// An environment variable.
    Variable(String),
    /// A file; white space at its end does not count.
    File(PathBuf),
}

/// What is stored about a key-encryption key that a device sealed. Nothing in it is secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrapped {
    token: String,
    key: String,
    nonce: String,
    sealed: String,
}

/// A device, and which PIN it refused.
pub(crate) struct Hsm {
    device: Device,
    /// Kept once it is loaded: vendors' modules are not made to come and go.
    module: Mutex<Option<Pkcs11>>,
    refused: Mutex<Option<[u8; 32]>>,
}

/// Bits of the tag at the end of what the device seals.
const TAG: u64 = 128;
/// Bytes of a nonce.
const NONCE: usize = 12;

impl Hsm {
    pub(crate) fn new(device: Device) -> Self {
        Self { device, module: Mutex::default(), refused: Mutex::default() }
    }

    /// Seals `kek` with the device's key, which is made if there is none.
    pub(crate) fn wrap(&self, world: &World, kek: &SecretKey) -> Result<Wrapped> {
        let (token, label) = (&self.device.token, &self.device.key);
        let session = self.session(token, true)?;
        let key = match find(&session, label)? {
            Some(key) => key,
            None => make(&session, label)?,
        };
        is_fit(&session, key)?;
        let mut nonce: [u8; NONCE] = world.bytes();
        let stored = HEXLOWER.encode(&nonce);
        let aad = aad(token, label);
        let sealed = {
            let mechanism = Mechanism::AesGcm(parameters(&mut nonce, &aad)?);
            session.encrypt(&mechanism, key, kek.expose()).map_err(failed("encrypt"))?
        };
        // Some devices choose the nonce themselves; then the one that is stored would not open this.
        if HEXLOWER.encode(&nonce) != stored {
            return Err(fault("hsm_nonce", "the HSM does not take a nonce that it is given"));
        }
        let sealed = HEXLOWER.encode(&sealed);
        let wrapped = Wrapped { token: token.clone(), key: label.clone(), nonce: stored, sealed };
        // What does not open now never will.
        match open(&session, key, &wrapped)? {
            opened if opened.ct_eq(kek.expose()) => Ok(wrapped),
            _ => Err(fault("hsm_unfit", "the HSM does not open what it sealed")),
        }
    }

    /// Opens what [`Hsm::wrap`] made.
    pub(crate) fn unwrap(&self, wrapped: &Wrapped) -> Result<SecretKey> {
        let session = self.session(&wrapped.token, false)?;
        let key = find(&session, &wrapped.key)?.ok_or_else(|| {
            fault("hsm_key_missing", format!("the HSM has no key `{}`", wrapped.key))
                .hint("without it the root key cannot be opened: restore the token from its backup")
        })?;
        open(&session, key, wrapped)
    }

    /// A session of the token's user.
    fn session(&self, label: &str, writing: bool) -> Result<Session> {
        let module = self.load()?;
        let slot = slot(&module, label)?;
        let session = if writing { module.open_rw_session(slot) } else { module.open_ro_session(slot) };
        let session = session.map_err(failed("open a session"))?;
        self.sign_in(&module, slot, &session)?;
        Ok(session)
    }

    fn load(&self) -> Result<Pkcs11> {
        let mut loaded = self.module.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = &*loaded {
            return Ok(module.clone());
        }
        let path = self.device.module.display();
        let module = Pkcs11::new(&self.device.module).map_err(|error| {
            fault("hsm_module", format!("the PKCS#11 module `{path}` cannot be loaded")).because(error)
        })?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // It is so for the whole process, whoever did it.
            Ok(()) | Err(Fault::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {
                Ok(loaded.insert(module).clone())
            }
            Err(error) => Err(failed("initialize")(error)),
        }
    }

    /// A wrong PIN is tried once: tokens lock after a few.
    fn sign_in(&self, module: &Pkcs11, slot: Slot, session: &Session) -> Result<()> {
        let pin = self.pin()?;
        let digest = hash::sha256(pin.expose().as_bytes());
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if *refused == Some(digest) {
            return Err(wrong_pin().context("not tried again"));
        }
        let told = module.get_token_info(slot).map_err(failed("look at the token"))?;
        if told.user_pin_locked() {
            return Err(locked());
        }
        if told.user_pin_final_try() {
            let error = fault("hsm_pin_final_try", "the HSM's token locks with the next wrong PIN");
            return Err(error.hint("sign in with the tool of its vendor once, which starts its count again"));
        }
        match session.login(UserType::User, Some(&AuthPin::from(pin.expose()))) {
            Ok(()) | Err(Fault::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                *refused = None;
                Ok(())
            }
            Err(Fault::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                *refused = Some(digest);
                Err(wrong_pin())
            }
            Err(Fault::Pkcs11(RvError::PinLocked, _)) => Err(locked()),
            Err(error) => Err(failed("sign in")(error)),
        }
    }

    fn pin(&self) -> Result<SecretString> {
        let missing = |what: String| fault("hsm_pin_missing", what);
        let text = match &self.device.pin {
            Pin::Variable(name) => env::var(name)
                .map_err(|_| missing(format!("the PIN of the HSM is expected in the variable `{name}`")))?,
            Pin::File(path) => fs::read_to_string(path).map_err(|error| {
                missing(format!("the PIN of the HSM is expected in `{}`", path.display())).because(error)
            })?,
        };
        let text = SecretString::new(text);
        let pin = text.expose().trim_end();
        if pin.is_empty() {
            Err(missing("the PIN of the HSM is empty".into()))
        } else {
            Ok(SecretString::new(pin.to_owned()))
        }
    }
}

fn slot(module: &Pkcs11, label: &str) -> Result<Slot> {
    let slots = module.get_slots_with_token().map_err(failed("list tokens"))?;
    let ours = |slot: &Slot| module.get_token_info(*slot).is_ok_and(|token| token.label() == label);
    let mut slots = slots.into_iter().filter(ours);
    match (slots.next(), slots.next()) {
        (Some(slot), None) => Ok(slot),
        (None, _) => Err(fault("hsm_token_missing", format!("the HSM has no token `{label}`"))),
        (Some(_), Some(_)) => {
            Err(fault("hsm_token_ambiguous", format!("the HSM has several tokens `{label}`")))
        }
    }
}

fn find(session: &Session, label: &str) -> Result<Option<ObjectHandle>> {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    match session.find_objects(&template).map_err(failed("look for the key"))?.as_slice() {
        [] => Ok(None),
        [key] => Ok(Some(*key)),
        _ => Err(fault("hsm_key_ambiguous", format!("the HSM has several keys `{label}`"))),
    }
}

fn make(session: &Session, label: &str) -> Result<ObjectHandle> {
    let template = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::ValueLen((SecretKey::LEN as u64).into()),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    session.generate_key(&Mechanism::AesKeyGen, &template).map_err(failed("make a key"))
}

/// A key that could leave the device, or ever could, protects nothing.
fn is_fit(session: &Session, key: ObjectHandle) -> Result<()> {
    let wanted = [
        Attribute::Sensitive(true),
        Attribute::AlwaysSensitive(true),
        Attribute::Extractable(false),
        Attribute::NeverExtractable(true),
        Attribute::ValueLen((SecretKey::LEN as u64).into()),
    ];
    let kinds: Vec<AttributeType> = wanted.iter().map(Attribute::attribute_type).collect();
    let found = session.get_attributes(key, &kinds).map_err(failed("look at the key"))?;
    if wanted.iter().all(|wanted| found.contains(wanted)) {
        return Ok(());
    }
    let error = fault("hsm_key_unfit", "the HSM's key is not of 256 bits, or could leave the HSM");
    Err(error.hint("give another label: a fit key is made under it"))
}

fn open(session: &Session, key: ObjectHandle, wrapped: &Wrapped) -> Result<SecretKey> {
    let malformed = || Error::internal("what is stored about the device's protection is malformed");
    let bytes = |hex: &str| HEXLOWER.decode(hex.as_bytes()).map_err(|_| malformed());
    let (mut nonce, sealed) = (bytes(&wrapped.nonce)?, bytes(&wrapped.sealed)?);
    let aad = aad(&wrapped.token, &wrapped.key);
    let mechanism = Mechanism::AesGcm(parameters(&mut nonce, &aad)?);
    let opened = session.decrypt(&mechanism, key, &sealed).map(SecretBytes::new).map_err(|error| {
        Error::unauthenticated("wrong_key", "the HSM's key does not open the seal").because(error)
    })?;
    SecretKey::from_slice(opened.expose())
}

fn parameters<'a>(nonce: &'a mut [u8], aad: &'a [u8]) -> Result<GcmParams<'a>> {
    GcmParams::new(nonce, aad, TAG.into()).map_err(failed("encrypt"))
}

fn aad(token: &str, key: &str) -> Vec<u8> {
    Aad::new().field(b"writ/device/v1").field(token.as_bytes()).field(key.as_bytes()).finish()
}

fn fault(code: &'static str, public: impl Into<String>) -> Error {
    Error::unavailable(code, public)
}

fn wrong_pin() -> Error {
    Error::unauthenticated("hsm_pin_wrong", "the HSM refuses the PIN")
        .hint("this PIN is not tried again, since tokens lock: give the right one, then unseal")
}

fn locked() -> Error {
    fault("hsm_pin_locked", "the HSM's token is locked").hint("its security officer can unlock it")
}

fn failed(what: &'static str) -> impl FnOnce(Fault) -> Error {
    move |error| fault("hsm", "the HSM does not do what is needed").context(what).because(error)
}
