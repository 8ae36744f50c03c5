// Named keys in Node's own crypto (24.7 or newer), written from docs/formats/encryption.md.
//
// Usage: node named_keys.mjs make|check <file>. The layout of the file is in README.md. `check` opens and verifies everything
// in it, and that nothing spoilt is accepted; `make` writes keys of its own and what they encrypted, signed, authenticated
// and wrapped.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";

const MESSAGES = ["", "4111 1111 1111 1111", "Jürgen — 🔐"].map((text) => Buffer.from(text));
const CODES = {
  "ml-kem-512": 1, "ml-kem-768": 2, "ml-kem-1024": 3, "aes128-gcm96": 10, "aes256-gcm96": 11, "chacha20-poly1305": 12,
};
const CIPHERTEXTS = { "ml-kem-512": 768, "ml-kem-768": 1088, "ml-kem-1024": 1568 };
const CIPHERS = {
  "aes128-gcm96": ["aes-128-gcm", 16, "A128GCM"],
  "aes256-gcm96": ["aes-256-gcm", 32, "A256GCM"],
  "chacha20-poly1305": ["chacha20-poly1305", 32, "C20P"],
};
const CURVES = { "ecdsa-p256": "P-256", "ecdsa-p384": "P-384", "ecdsa-p521": "P-521" };
const HASHES = {
  "sha2-224": "sha224", "sha2-256": "sha256", "sha2-384": "sha384", "sha2-512": "sha512",
  "sha3-224": "sha3-224", "sha3-256": "sha3-256", "sha3-384": "sha3-384", "sha3-512": "sha3-512",
};
const OAEP = { SHA1: "sha1", SHA256: "sha256", SHA384: "sha384", SHA512: "sha512" };

// --- common parts ---------------------------------------------------------------------------------------------------

const hex = (text) => Buffer.from(text, "hex");
const sha256 = (data) => crypto.createHash("sha256").update(data).digest();
const hmac = (hash, key, data) => crypto.createHmac(hash, key).update(data).digest();
const hkdf = (salt, ikm, info, length = 32) => Buffer.from(crypto.hkdfSync("sha256", ikm, salt, info, length));
const spoilt = (data) => Buffer.concat([data.subarray(0, -1), Buffer.from([data.at(-1) ^ 1])]);

function fields(...parts) {
  return Buffer.concat(parts.flatMap((part) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(part.length));
    return [length, part];
  }));
}

function readText(text, prefix = "vault:v", encoding = "base64") {
  assert(text.startsWith(prefix), text);
  const [version, body] = text.slice(prefix.length).split(":");
  return [Number(version), Buffer.from(body, encoding)];
}

class Key {
  constructor(name, entry) {
    this.type = entry.type;
    this.version = name.version;
    this.code = CODES[entry.type] ?? 0;
    this.header = Buffer.from([1, this.code]);
    const version = Buffer.alloc(4);
    version.writeUInt32BE(name.version);
    this.bound = [hex(name.id.replaceAll("-", "")), version];
    this.raw = entry.raw ? hex(entry.raw) : null;
    this.isKem = this.type in CIPHERTEXTS;
    this.isRsa = this.type.startsWith("rsa");
    if (entry.pkcs8) {
      this.private = crypto.createPrivateKey(entry.pkcs8);
      this.public = crypto.createPublicKey(this.private);
      assert.equal(this.public.export({ format: "pem", type: "spki" }), entry.public);
      if (this.isRsa) this.raw = this.private.export({ format: "der", type: "pkcs8" });
    }
  }

  get macKey() {
    return this.type === "hmac" ? this.raw : hkdf("writ/named/v1/mac", this.raw, this.type);
  }
}

// --- encryption -----------------------------------------------------------------------------------------------------

function seal(cipher, key, nonce, aad, plaintext) {
  const sealing = crypto.createCipheriv(cipher, key, nonce, { authTagLength: 16 });
  sealing.setAAD(aad, { plaintextLength: plaintext.length });
  return Buffer.concat([nonce, sealing.update(plaintext), sealing.final(), sealing.getAuthTag()]);
}

function open(cipher, key, aad, sealed) {
  const opening = crypto.createDecipheriv(cipher, key, sealed.subarray(0, 12), { authTagLength: 16 });
  opening.setAAD(aad, { plaintextLength: sealed.length - 28 });
  opening.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([opening.update(sealed.subarray(12, -16)), opening.final()]);
}

const none = Buffer.alloc(0);
const oaep = (key, hash) => ({ key, oaepHash: hash, padding: crypto.constants.RSA_PKCS1_OAEP_PADDING });

function messageKey(key, shared, carrier, aad) {
  return hkdf("writ/encrypt/v1", shared, sha256(fields(key.header, ...key.bound, carrier, aad)));
}

function symmetric(key, { context, convergent }) {
  const [cipher, length] = CIPHERS[key.type];
  if (context === null) return { cipher, secret: key.raw };
  const output = hkdf(none, key.raw, context, length + (convergent ? 32 : 0));
  return { cipher, secret: output.subarray(0, length), nonces: convergent ? output.subarray(length) : undefined };
}

function encrypt(key, options, plaintext) {
  if (key.isKem) {
    const { sharedKey, ciphertext } = crypto.encapsulate(key.public);
    const secret = messageKey(key, sharedKey, ciphertext, options.aad);
    return Buffer.concat([key.header, ciphertext, seal("aes-256-gcm", secret, crypto.randomBytes(12), none, plaintext)]);
  }
  if (key.isRsa) return crypto.publicEncrypt(oaep(key.public, "sha256"), plaintext);
  const { cipher, secret, nonces } = symmetric(key, options);
  const nonce = nonces ? hmac("sha256", nonces, plaintext).subarray(0, 12) : crypto.randomBytes(12);
  return seal(cipher, secret, nonce, options.aad, plaintext);
}

function decrypt(key, options, body) {
  if (key.isKem) {
    assert(body.subarray(0, 2).equals(key.header));
    const carrier = body.subarray(2, 2 + CIPHERTEXTS[key.type]);
    const secret = messageKey(key, crypto.decapsulate(key.private, carrier), carrier, options.aad);
    return open("aes-256-gcm", secret, none, body.subarray(2 + carrier.length));
  }
  if (key.isRsa) return crypto.privateDecrypt(oaep(key.private, "sha256"), body);
  const { cipher, secret } = symmetric(key, options);
  return open(cipher, secret, options.aad, body);
}

function checkEncrypted(key, it) {
  const [version, body] = readText(it.text);
  const options = { aad: hex(it.aad), context: it.context === null ? null : hex(it.context), convergent: it.convergent };
  assert.equal(version, key.version);
  assert(decrypt(key, options, body).equals(hex(it.plaintext)));
  assert.throws(() => decrypt(key, options, spoilt(body)));
}

function makeEncrypted(key) {
  if (!key.code && !key.isRsa) return [];
  const plain = { aad: none, context: null, convergent: false };
  const bound = { ...plain, aad: Buffer.from("order 7") };
  const context = Buffer.from("customer 1");
  const options = [plain];
  if (key.code) options.push(bound);
  if (key.type in CIPHERS) options.push({ ...bound, context }, { ...plain, context, convergent: true });
  return options.flatMap((it) => MESSAGES.map((message) => ({
    aad: it.aad.toString("hex"),
    context: it.context?.toString("hex") ?? null,
    convergent: it.convergent,
    plaintext: message.toString("hex"),
    text: `vault:v${key.version}:${encrypt(key, it, message).toString("base64")}`,
  })));
}

// --- signatures and codes -------------------------------------------------------------------------------------------

function scheme(key, it) {
  if (key.isRsa) {
    if (it.padding === "pkcs1v15") return [HASHES[it.hash], { padding: crypto.constants.RSA_PKCS1_PADDING }];
    const { RSA_PSS_SALTLEN_MAX_SIGN, RSA_PSS_SALTLEN_DIGEST, RSA_PKCS1_PSS_PADDING } = crypto.constants;
    const saltLength = it.salt === "auto" ? RSA_PSS_SALTLEN_MAX_SIGN : RSA_PSS_SALTLEN_DIGEST;
    return [HASHES[it.hash], { padding: RSA_PKCS1_PSS_PADDING, saltLength }];
  }
  if (key.type in CURVES) return [HASHES[it.hash], { dsaEncoding: it.marshaling === "jws" ? "ieee-p1363" : "der" }];
  return [null, {}];
}

const encoding = (it) => (it.marshaling === "jws" ? "base64url" : "base64");

function checkSigned(key, it) {
  const [version, signature] = readText(it.text, "vault:v", encoding(it));
  const [hash, options] = scheme(key, it);
  const verify = (bytes) => crypto.verify(hash, hex(it.message), { key: key.public, ...options }, bytes);
  assert.equal(version, key.version);
  assert(verify(signature), `${key.type} ${JSON.stringify(it).slice(0, 120)}`);
  assert(!verify(spoilt(signature)));
}

function choices(key) {
  const plain = { hash: "sha2-256", padding: "pss", salt: "auto", marshaling: "asn1" };
  if (key.isRsa) {
    const paddings = [{}, { salt: "hash" }, { padding: "pkcs1v15" }];
    return ["sha2-256", "sha2-384", "sha2-512"].flatMap((hash) => paddings.map((other) => ({ ...plain, hash, ...other })));
  }
  if (key.type in CURVES) {
    return Object.keys(HASHES).flatMap((hash) => ["asn1", "jws"].map((marshaling) => ({ ...plain, hash, marshaling })));
  }
  return key.type.startsWith("ml-dsa") || key.type === "ed25519" ? [plain] : [];
}

function makeSigned(key) {
  return choices(key).map((it) => {
    const [hash, options] = scheme(key, it);
    const signature = crypto.sign(hash, MESSAGES[2], { key: key.private, ...options });
    const text = `vault:v${key.version}:${signature.toString(encoding(it))}`;
    return { ...it, message: MESSAGES[2].toString("hex"), text };
  });
}

function checkCode(key, it) {
  const [version, code] = readText(it.text);
  assert.equal(version, key.version);
  assert(hmac(HASHES[it.hash], key.macKey, hex(it.message)).equals(code), `${key.type} ${it.hash}`);
}

function makeCodes(key) {
  return Object.entries(HASHES).map(([hash, name]) => ({
    hash,
    message: MESSAGES[1].toString("hex"),
    text: `vault:v${key.version}:${hmac(name, key.macKey, MESSAGES[1]).toString("base64")}`,
  }));
}

// --- rows -----------------------------------------------------------------------------------------------------------

function fieldKey(key, rowKey, aad, name, secret) {
  assert(rowKey.subarray(0, 2).equals(key.header));
  const carrier = rowKey.subarray(2);
  secret ??= key.isKem ? crypto.decapsulate(key.private, carrier) : key.raw;
  return hkdf("writ/fields/v1", secret, sha256(fields(key.header, ...key.bound, carrier, aad, Buffer.from(name))));
}

function openField(key, rowKey, aad, name, field) {
  const layout = field.subarray(0, 1);
  const inside = layout[0] === 2 ? rowKey.length : 0;
  assert(!inside || field.subarray(1, 1 + inside).equals(rowKey));
  return open("aes-256-gcm", fieldKey(key, rowKey, aad, name), layout, field.subarray(1 + inside));
}

function checkRow(key, it) {
  const aad = hex(it.aad);
  const [, rowKey] = readText(it.rowKey, "writ-row:v", "base64url");
  for (const field of it.fields) {
    const [version, sealed] = readText(field.text, "writ-field:v", "base64url");
    assert.equal(version, key.version);
    assert.equal(sealed[0] === 2, field.alone);
    assert(openField(key, rowKey, aad, field.name, sealed).equals(hex(field.plaintext)));
    assert.throws(() => openField(key, rowKey, aad, "another", sealed));
  }
}

function makeRows(key) {
  if (!key.code) return [];
  const aad = Buffer.from("tenant 1 | customers | 7");
  const { sharedKey, ciphertext } = key.isKem ? crypto.encapsulate(key.public) : { ciphertext: crypto.randomBytes(32) };
  const rowKey = Buffer.concat([key.header, ciphertext]);
  const field = (name, alone, message) => {
    const layout = Buffer.from([alone ? 2 : 1]);
    const secret = fieldKey(key, rowKey, aad, name, sharedKey);
    const sealed = seal("aes-256-gcm", secret, crypto.randomBytes(12), layout, message);
    const bytes = Buffer.concat([layout, alone ? rowKey : none, sealed]);
    const text = `writ-field:v${key.version}:${bytes.toString("base64url")}`;
    return { name, alone, plaintext: message.toString("hex"), text };
  };
  return [{
    aad: aad.toString("hex"),
    rowKey: `writ-row:v${key.version}:${rowKey.toString("base64url")}`,
    fields: [field("mail", false, MESSAGES[1]), field("phone", false, none), field("näme", true, MESSAGES[2])],
  }];
}

// --- wrapped keys ---------------------------------------------------------------------------------------------------

const KWP_IV = hex("a65959a6");
const kwp = (kek) => `id-aes${kek.length * 8}-wrap-pad`;

function wrap(kek, secret) {
  const wrapping = crypto.createCipheriv(kwp(kek), kek, KWP_IV);
  return Buffer.concat([wrapping.update(secret), wrapping.final()]);
}

function unwrap(kek, blob) {
  const unwrapping = crypto.createDecipheriv(kwp(kek), kek, KWP_IV);
  return Buffer.concat([unwrapping.update(blob), unwrapping.final()]);
}

const checkWrapped = (key, it) => assert(unwrap(key.raw, hex(it.blob)).equals(hex(it.secret)));

function makeWrapped(key) {
  if (!key.type.startsWith("aes")) return [];
  return [Buffer.alloc(32, 1), Buffer.alloc(7, 2), Buffer.alloc(54, 3)].map((secret) => ({
    secret: secret.toString("hex"), blob: wrap(key.raw, secret).toString("hex"),
  }));
}

function importKey(key, carrier, shared) {
  return hkdf("writ/import/v1", shared, sha256(fields(key.header, ...key.bound, carrier)));
}

function checkImport(key, it) {
  const blob = hex(it.blob);
  let kek, wrapped;
  if (key.isKem) {
    const carrier = blob.subarray(2, 2 + CIPHERTEXTS[key.type]);
    assert(blob.subarray(0, 2).equals(key.header));
    [kek, wrapped] = [importKey(key, carrier, crypto.decapsulate(key.private, carrier)), blob.subarray(2 + carrier.length)];
  } else {
    const length = key.public.asymmetricKeyDetails.modulusLength / 8;
    kek = crypto.privateDecrypt(oaep(key.private, OAEP[it.hash]), blob.subarray(0, length));
    wrapped = blob.subarray(length);
  }
  assert(unwrap(kek, wrapped).equals(hex(it.secret)));
}

function makeImports(key) {
  if (!key.isKem && !key.isRsa) return [];
  const secret = Buffer.alloc(54, 9);
  return Object.entries(OAEP).map(([hash, name]) => {
    let kek = crypto.randomBytes(32), carrier;
    if (key.isKem) {
      const { sharedKey, ciphertext } = crypto.encapsulate(key.public);
      [kek, carrier] = [importKey(key, ciphertext, sharedKey), Buffer.concat([key.header, ciphertext])];
    } else {
      carrier = crypto.publicEncrypt(oaep(key.public, name), kek);
    }
    return { hash, secret: secret.toString("hex"), blob: Buffer.concat([carrier, wrap(kek, secret)]).toString("hex") };
  });
}

// --- keys and files -------------------------------------------------------------------------------------------------

function generate(type) {
  if (type in CURVES) return crypto.generateKeyPairSync("ec", { namedCurve: CURVES[type] }).privateKey;
  if (type.startsWith("rsa")) {
    return crypto.generateKeyPairSync("rsa", { modulusLength: Number(type.slice(4)) }).privateKey;
  }
  return crypto.generateKeyPairSync(type).privateKey;
}

function makeKey(name, type) {
  const entry = { type, raw: null };
  if (type in CIPHERS || type === "hmac") {
    const raw = crypto.randomBytes(CIPHERS[type]?.[1] ?? 64);
    const jwk = { kty: "oct", k: raw.toString("base64url") };
    if (type in CIPHERS) jwk.alg = CIPHERS[type][2];
    Object.assign(entry, { raw: raw.toString("hex"), jwk: JSON.stringify(jwk) });
  } else {
    const secret = generate(type), shown = crypto.createPublicKey(secret);
    const jwk = secret.export({ format: "jwk" });
    const raw = jwk.kty === "RSA" ? null : Buffer.from(jwk.priv ?? jwk.d, "base64url").toString("hex");
    Object.assign(entry, {
      raw,
      pkcs8: secret.export({ format: "pem", type: "pkcs8" }),
      jwk: JSON.stringify(jwk),
      public: shown.export({ format: "pem", type: "spki" }),
      publicJwk: JSON.stringify(shown.export({ format: "jwk" })),
    });
  }
  const key = new Key(name, entry);
  return {
    ...entry,
    encrypted: makeEncrypted(key), signed: makeSigned(key), codes: makeCodes(key), rows: makeRows(key),
    wrapped: makeWrapped(key), imports: makeImports(key),
  };
}

function index(it) {
  const normal = Buffer.from(it.text.trim().toLowerCase());
  if (it.key === null) return crypto.createHash("sha3-256").update(normal).digest("hex");
  const key = it.field === null ? hex(it.key) : hkdf("writ/index/v1", hex(it.key), it.field);
  return hmac("sha3-256", key, normal).toString("hex");
}

function make() {
  const name = { id: crypto.randomUUID(), version: 1 };
  const types = [
    ...Object.keys(CODES), "ml-dsa-44", "ml-dsa-65", "ml-dsa-87", "ed25519", ...Object.keys(CURVES), "rsa-2048",
    "rsa-3072", "hmac",
  ];
  const secret = () => crypto.randomBytes(32).toString("hex");
  const text = "\u2003 ΟΔΟΣ Ä\n";
  const indexes = [{ key: secret(), field: null, text }, { key: secret(), field: "mail", text }, { key: null, field: null, text }];
  return {
    ...name,
    keys: types.map((type) => makeKey(name, type)),
    indexes: indexes.map((it) => ({ ...it, index: index(it) })),
  };
}

function checkJwk(key, entry) {
  const jwk = JSON.parse(entry.jwk);
  if (!key.private) {
    assert.equal(jwk.k, key.raw.toString("base64url"));
    return;
  }
  assert(crypto.createPrivateKey({ key: jwk, format: "jwk" }).equals(key.private));
  assert.deepEqual(jwk, { ...key.private.export({ format: "jwk" }) });
  if (entry.publicJwk) {
    assert.deepEqual(JSON.parse(entry.publicJwk), { ...key.public.export({ format: "jwk" }) });
  }
}

const CHECKS = {
  encrypted: checkEncrypted, signed: checkSigned, codes: checkCode, rows: checkRow, wrapped: checkWrapped,
  imports: checkImport,
};

function check(file) {
  let checked = 0;
  for (const entry of file.keys) {
    const key = new Key(file, entry);
    checkJwk(key, entry);
    checked += 1;
    for (const [name, of] of Object.entries(CHECKS)) {
      for (const it of entry[name]) {
        of(key, it);
        checked += 1;
      }
    }
  }
  for (const it of file.indexes) {
    assert.equal(index(it), it.index);
    checked += 1;
  }
  console.log(`${checked} things checked`);
}

const [verb, path] = process.argv.slice(2);
if (verb === "make") fs.writeFileSync(path, JSON.stringify(make()));
else check(JSON.parse(fs.readFileSync(path)));
