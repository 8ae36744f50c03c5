"""Named keys in Python's `cryptography`, written from docs/formats/encryption.md.

Usage: named_keys.py make|check <file>. The layout of the file is in README.md. `check` opens and verifies everything in it,
and that nothing spoilt is accepted; `make` writes keys of its own and what they encrypted, signed, authenticated and wrapped.
ML-KEM-512 is not in this library: it is skipped.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import uuid

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

MESSAGES = ["", "4111 1111 1111 1111", "Jürgen — 🔐"]
CODES = {"ml-kem-512": 1, "ml-kem-768": 2, "ml-kem-1024": 3, "aes128-gcm96": 10, "aes256-gcm96": 11, "chacha20-poly1305": 12}
KEM = {
    "ml-kem-768": (mlkem.MLKEM768PrivateKey, 1088, "ML-KEM-768"),
    "ml-kem-1024": (mlkem.MLKEM1024PrivateKey, 1568, "ML-KEM-1024"),
}
DSA = {
    "ml-dsa-44": (mldsa.MLDSA44PrivateKey, "ML-DSA-44"),
    "ml-dsa-65": (mldsa.MLDSA65PrivateKey, "ML-DSA-65"),
    "ml-dsa-87": (mldsa.MLDSA87PrivateKey, "ML-DSA-87"),
}
CURVES = {
    "ecdsa-p256": (ec.SECP256R1(), 32, "P-256"),
    "ecdsa-p384": (ec.SECP384R1(), 48, "P-384"),
    "ecdsa-p521": (ec.SECP521R1(), 66, "P-521"),
}
CIPHERS = {"aes128-gcm96": (AESGCM, 16, "A128GCM"), "aes256-gcm96": (AESGCM, 32, "A256GCM"), "chacha20-poly1305": (ChaCha20Poly1305, 32, "C20P")}
HASHES = {
    "sha2-224": hashes.SHA224(), "sha2-256": hashes.SHA256(), "sha2-384": hashes.SHA384(), "sha2-512": hashes.SHA512(),
    "sha3-224": hashes.SHA3_224(), "sha3-256": hashes.SHA3_256(), "sha3-384": hashes.SHA3_384(), "sha3-512": hashes.SHA3_512(),
}
OAEP = {"SHA1": hashes.SHA1(), "SHA256": hashes.SHA256(), "SHA384": hashes.SHA384(), "SHA512": hashes.SHA512()}
RSA_HASHES = ["sha2-256", "sha2-384", "sha2-512"]


# --- common parts -------------------------------------------------------------------------------------------------


def fields(*parts):
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def hkdf(salt, ikm, info, length=32):
    return HKDF(hashes.SHA256(), length, salt, info).derive(ikm)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64url_decode(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def read_text(text, prefix="vault:v", decode=lambda body: base64.b64decode(body, validate=True)):
    assert text.startswith(prefix)
    version, body = text.removeprefix(prefix).split(":")
    return int(version), decode(body)


def spoilt(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def refused(what, *errors):
    try:
        what()
    except errors:
        return
    raise AssertionError("something spoilt was accepted")


class Key:
    """A version of a key: what the file says of it, and the private key."""

    def __init__(self, name, entry):
        self.id, self.version = uuid.UUID(name["id"]).bytes, name["version"]
        self.type, self.code = entry["type"], CODES.get(entry["type"], 0)
        self.raw = bytes.fromhex(entry["raw"]) if entry.get("raw") else None
        self.private = None
        if entry.get("pkcs8"):
            self.private = serialization.load_pem_private_key(entry["pkcs8"].encode(), None)
            assert public_pem(self.private) == entry["public"], "the public key is another"
        if entry["type"].startswith("rsa"):
            self.raw = self.private.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )

    def bound(self):
        return self.id, self.version.to_bytes(4, "big")

    def header(self):
        return bytes([1, self.code])

    def mac_key(self):
        if self.type == "hmac":
            return self.raw
        return hkdf(b"writ/named/v1/mac", self.raw, self.type.encode())


def public_pem(private):
    return private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


# --- encryption ---------------------------------------------------------------------------------------------------


def message_key(key, shared, carrier, aad):
    transcript = fields(key.header(), *key.bound(), carrier, aad)
    return AESGCM(hkdf(b"writ/encrypt/v1", shared, hashlib.sha256(transcript).digest()))


def symmetric(key, context, convergent):
    """The cipher, and the key of nonces where encryption is convergent."""
    cipher, length, _ = CIPHERS[key.type]
    if context is None:
        return cipher(key.raw), None
    output = hkdf(None, key.raw, context, length + (32 if convergent else 0))
    return cipher(output[:length]), output[length:] or None


def oaep(algorithm):
    return padding.OAEP(padding.MGF1(algorithm), algorithm, None)


def encrypt(key, aad, context, convergent, plaintext):
    if key.type in KEM:
        shared, carrier = key.private.public_key().encapsulate()
        nonce = os.urandom(12)
        return key.header() + carrier + nonce + message_key(key, shared, carrier, aad).encrypt(nonce, plaintext, None)
    if key.type.startswith("rsa"):
        return key.private.public_key().encrypt(plaintext, oaep(hashes.SHA256()))
    cipher, nonces = symmetric(key, context, convergent)
    nonce = hmac.digest(nonces, plaintext, "sha256")[:12] if nonces else os.urandom(12)
    return nonce + cipher.encrypt(nonce, plaintext, aad)


def decrypt(key, aad, context, convergent, body):
    if key.type in KEM:
        length = 2 + KEM[key.type][1]
        assert body[:2] == key.header()
        carrier, nonce, sealed = body[2:length], body[length:length + 12], body[length + 12:]
        return message_key(key, key.private.decapsulate(carrier), carrier, aad).decrypt(nonce, sealed, None)
    if key.type.startswith("rsa"):
        return key.private.decrypt(body, oaep(hashes.SHA256()))
    return symmetric(key, context, convergent)[0].decrypt(body[:12], body[12:], aad)


def check_encrypted(key, it):
    version, body = read_text(it["text"])
    context = bytes.fromhex(it["context"]) if it["context"] is not None else None
    options = bytes.fromhex(it["aad"]), context, it["convergent"]
    assert version == key.version
    assert decrypt(key, *options, body) == bytes.fromhex(it["plaintext"])
    refused(lambda: decrypt(key, *options, spoilt(body)), InvalidTag, ValueError)


def make_encrypted(key):
    options = [(b"", None, False)]
    if key.code:
        options.append((b"order 7", None, False))
    if key.type in CIPHERS:
        options += [(b"order 7", b"customer 1", False), (b"", b"customer 1", True)]
    for aad, context, convergent in options:
        for message in MESSAGES:
            body = encrypt(key, aad, context, convergent, message.encode())
            yield {
                "aad": aad.hex(), "context": context.hex() if context is not None else None, "convergent": convergent,
                "plaintext": message.encode().hex(), "text": f"vault:v{key.version}:{base64.b64encode(body).decode()}",
            }


# --- signatures and codes -----------------------------------------------------------------------------------------


def rsa_padding(it, algorithm):
    if it["padding"] == "pkcs1v15":
        return padding.PKCS1v15()
    length = padding.PSS.MAX_LENGTH if it["salt"] == "auto" else padding.PSS.DIGEST_LENGTH
    return padding.PSS(padding.MGF1(algorithm), length)


def sign(key, it, message):
    algorithm = HASHES[it["hash"]]
    if key.type.startswith("rsa"):
        return key.private.sign(message, rsa_padding(it, algorithm), algorithm)
    if key.type in CURVES:
        signature = key.private.sign(message, ec.ECDSA(algorithm))
        if it["marshaling"] == "asn1":
            return signature
        length = CURVES[key.type][1]
        return b"".join(part.to_bytes(length, "big") for part in utils.decode_dss_signature(signature))
    return key.private.sign(message)


def verify(key, it, message, signature):
    algorithm, public = HASHES[it["hash"]], key.private.public_key()
    if key.type.startswith("rsa"):
        public.verify(signature, message, rsa_padding(it, algorithm), algorithm)
    elif key.type in CURVES:
        if it["marshaling"] == "jws":
            length = CURVES[key.type][1]
            assert len(signature) == 2 * length
            r, s = int.from_bytes(signature[:length], "big"), int.from_bytes(signature[length:], "big")
            signature = utils.encode_dss_signature(r, s)
        public.verify(signature, message, ec.ECDSA(algorithm))
    else:
        public.verify(signature, message)


def check_signed(key, it):
    decode = b64url_decode if it["marshaling"] == "jws" else lambda body: base64.b64decode(body, validate=True)
    version, signature = read_text(it["text"], decode=decode)
    message = bytes.fromhex(it["message"])
    assert version == key.version
    verify(key, it, message, signature)
    refused(lambda: verify(key, it, message, spoilt(signature)), InvalidSignature)


def choices(key_type):
    plain = {"hash": "sha2-256", "padding": "pss", "salt": "auto", "marshaling": "asn1"}
    if key_type.startswith("rsa"):
        paddings = [{}, {"salt": "hash"}, {"padding": "pkcs1v15"}]
        return [{**plain, "hash": name, **other} for name in RSA_HASHES for other in paddings]
    if key_type in CURVES:
        return [{**plain, "hash": name, "marshaling": form} for name in HASHES for form in ("asn1", "jws")]
    return [plain] if key_type in DSA or key_type == "ed25519" else []


def make_signed(key):
    message = MESSAGES[2].encode()
    for it in choices(key.type):
        signature = sign(key, it, message)
        encoded = b64url(signature) if it["marshaling"] == "jws" else base64.b64encode(signature).decode()
        yield {**it, "message": message.hex(), "text": f"vault:v{key.version}:{encoded}"}


def code(key, name, message):
    return hmac.digest(key.mac_key(), message, HASHES[name].name)


def check_code(key, it):
    assert read_text(it["text"]) == (key.version, code(key, it["hash"], bytes.fromhex(it["message"])))


def make_codes(key):
    message = MESSAGES[1].encode()
    for name in HASHES:
        encoded = base64.b64encode(code(key, name, message)).decode()
        yield {"hash": name, "message": message.hex(), "text": f"vault:v{key.version}:{encoded}"}


# --- rows ---------------------------------------------------------------------------------------------------------


def field_key(key, row_key, aad, name, secret=None):
    assert row_key[:2] == key.header()
    carrier = row_key[2:]
    if secret is None:
        secret = key.private.decapsulate(carrier) if key.type in KEM else key.raw
    prk = hmac.digest(b"writ/fields/v1", secret, "sha256")
    transcript = fields(key.header(), *key.bound(), carrier, aad, name.encode())
    return AESGCM(HKDFExpand(hashes.SHA256(), 32, hashlib.sha256(transcript).digest()).derive(prk))


def open_field(key, row_key, aad, name, field):
    layout, sealed = field[:1], field[1:]
    if layout == b"\x02":
        assert sealed.startswith(row_key)
        sealed = sealed[len(row_key):]
    return field_key(key, row_key, aad, name).decrypt(sealed[:12], sealed[12:], layout)


def check_row(key, it):
    aad = bytes.fromhex(it["aad"])
    version, row_key = read_text(it["rowKey"], "writ-row:v", b64url_decode)
    assert version == key.version
    for field in it["fields"]:
        version, sealed = read_text(field["text"], "writ-field:v", b64url_decode)
        assert version == key.version and (sealed[0] == 2) == field["alone"]
        assert open_field(key, row_key, aad, field["name"], sealed) == bytes.fromhex(field["plaintext"])
        refused(lambda: open_field(key, row_key, aad, "another", sealed), InvalidTag)
        refused(lambda: open_field(key, row_key, aad + b"x", field["name"], sealed), InvalidTag)


def make_rows(key):
    aad, secret = b"tenant 1 | customers | 7", None
    if key.type in KEM:
        secret, carrier = key.private.public_key().encapsulate()
    else:
        carrier = os.urandom(32)
    row_key, made = key.header() + carrier, []
    for name, alone, message in [("mail", False, MESSAGES[1]), ("phone", False, ""), ("näme", True, MESSAGES[2])]:
        nonce, layout = os.urandom(12), b"\x02" if alone else b"\x01"
        sealed = field_key(key, row_key, aad, name, secret).encrypt(nonce, message.encode(), layout)
        field = layout + (row_key if alone else b"") + nonce + sealed
        made.append({
            "name": name, "alone": alone, "plaintext": message.encode().hex(), "text": f"writ-field:v{key.version}:{b64url(field)}",
        })
    yield {"aad": aad.hex(), "rowKey": f"writ-row:v{key.version}:{b64url(row_key)}", "fields": made}


# --- wrapped keys -------------------------------------------------------------------------------------------------


def check_wrapped(key, it):
    blob = bytes.fromhex(it["blob"])
    assert keywrap.aes_key_unwrap_with_padding(key.raw, blob) == bytes.fromhex(it["secret"])


def make_wrapped(key):
    for secret in (b"\x01" * 32, b"\x02" * 7, b"\x03" * 54):
        yield {"secret": secret.hex(), "blob": keywrap.aes_key_wrap_with_padding(key.raw, secret).hex()}


def import_key(key, carrier, shared):
    transcript = fields(key.header(), *key.bound(), carrier)
    return hkdf(b"writ/import/v1", shared, hashlib.sha256(transcript).digest())


def check_import(key, it):
    blob = bytes.fromhex(it["blob"])
    if key.type in KEM:
        length = 2 + KEM[key.type][1]
        assert blob[:2] == key.header()
        kek, wrapped = import_key(key, blob[2:length], key.private.decapsulate(blob[2:length])), blob[length:]
    else:
        length = key.private.key_size // 8
        kek, wrapped = key.private.decrypt(blob[:length], oaep(OAEP[it["hash"]])), blob[length:]
    assert keywrap.aes_key_unwrap_with_padding(kek, wrapped) == bytes.fromhex(it["secret"])


def make_imports(key):
    secret = b"\x09" * 54
    for name, algorithm in OAEP.items():
        if key.type in KEM:
            shared, carrier = key.private.public_key().encapsulate()
            kek, carrier = import_key(key, carrier, shared), key.header() + carrier
        else:
            kek = os.urandom(32)
            carrier = key.private.public_key().encrypt(kek, oaep(algorithm))
        blob = carrier + keywrap.aes_key_wrap_with_padding(kek, secret)
        yield {"hash": name, "secret": secret.hex(), "blob": blob.hex()}


# --- keys and files -----------------------------------------------------------------------------------------------


def generate(key_type):
    if key_type in KEM:
        return KEM[key_type][0].generate()
    if key_type in DSA:
        return DSA[key_type][0].generate()
    if key_type in CURVES:
        return ec.generate_private_key(CURVES[key_type][0])
    if key_type == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, int(key_type.removeprefix("rsa-")))


def raw_of(key_type, private):
    if key_type in CURVES:
        return private.private_numbers().private_value.to_bytes(CURVES[key_type][1], "big")
    return None if key_type.startswith("rsa") else private.private_bytes_raw()


def jwk_of(key_type, private):
    if key_type in KEM or key_type in DSA:
        name = KEM[key_type][2] if key_type in KEM else DSA[key_type][1]
        public = private.public_key().public_bytes_raw()
        return {"kty": "AKP", "alg": name, "pub": b64url(public), "priv": b64url(private.private_bytes_raw())}
    if key_type in CURVES:
        _, length, name = CURVES[key_type]
        numbers = private.private_numbers()
        parts = {"x": numbers.public_numbers.x, "y": numbers.public_numbers.y, "d": numbers.private_value}
        return {"kty": "EC", "crv": name, **{k: b64url(v.to_bytes(length, "big")) for k, v in parts.items()}}
    if key_type == "ed25519":
        x, d = private.public_key().public_bytes_raw(), private.private_bytes_raw()
        return {"kty": "OKP", "crv": "Ed25519", "x": b64url(x), "d": b64url(d)}
    numbers = private.private_numbers()
    parts = {
        "n": numbers.public_numbers.n, "e": numbers.public_numbers.e, "d": numbers.d, "p": numbers.p, "q": numbers.q,
        "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp,
    }
    return {"kty": "RSA", **{k: b64url(v.to_bytes((v.bit_length() + 7) // 8, "big")) for k, v in parts.items()}}


def make_key(name, key_type):
    entry = {"type": key_type}
    if key_type in CIPHERS or key_type == "hmac":
        raw = os.urandom(CIPHERS[key_type][1] if key_type in CIPHERS else 32)
        jwk = {"kty": "oct", "k": b64url(raw)}
        if key_type in CIPHERS:
            jwk["alg"] = CIPHERS[key_type][2]
        entry |= {"raw": raw.hex(), "jwk": json.dumps(jwk)}
    else:
        private = generate(key_type)
        raw, jwk = raw_of(key_type, private), jwk_of(key_type, private)
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        entry |= {"raw": raw.hex() if raw else None, "pkcs8": pem, "jwk": json.dumps(jwk), "public": public_pem(private)}
    key = Key(name, entry)
    encrypts = key.code or key_type.startswith("rsa")
    return entry | {
        "encrypted": list(make_encrypted(key)) if encrypts else [],
        "signed": list(make_signed(key)),
        "codes": list(make_codes(key)),
        "rows": list(make_rows(key)) if key.code else [],
        "wrapped": list(make_wrapped(key)) if key_type.startswith("aes") else [],
        "imports": list(make_imports(key)) if encrypts and key_type not in CIPHERS else [],
    }


def index(it):
    normal = it["text"].strip().lower().encode()
    if it["key"] is None:
        return hashlib.sha3_256(normal).hexdigest()
    key = bytes.fromhex(it["key"])
    if it["field"] is not None:
        key = hkdf(b"writ/index/v1", key, it["field"].encode())
    return hmac.digest(key, normal, "sha3-256").hex()


def make():
    name = {"id": str(uuid.uuid4()), "version": 4294967295}
    types = [*KEM, *CIPHERS, *DSA, "ed25519", *CURVES, "rsa-2048", "rsa-3072", "hmac"]
    indexes = [{"key": key, "field": field, "text": "\u2003 ΟΔΟΣ Ä\n"}
               for key, field in [(os.urandom(32).hex(), None), (os.urandom(32).hex(), "mail"), (None, None)]]
    return name | {
        "keys": [make_key(name, key_type) for key_type in types],
        "indexes": [it | {"index": index(it)} for it in indexes],
    }


def check_jwk(key, it):
    jwk = json.loads(it["jwk"])
    if key.private is None:
        assert b64url_decode(jwk["k"]) == key.raw
        return
    ours = jwk_of(key.type, key.private)
    assert jwk == ours, f"the JWK of {key.type} is another"
    if it.get("publicJwk"):
        private = {"priv", "d", "p", "q", "dp", "dq", "qi"}
        public = {k: v for k, v in ours.items() if k not in private}
        assert json.loads(it["publicJwk"]) == public


CHECKS = {
    "encrypted": check_encrypted, "signed": check_signed, "codes": check_code, "rows": check_row, "wrapped": check_wrapped,
    "imports": check_import,
}


def check(file):
    checked = 0
    for entry in file["keys"]:
        if entry["type"] == "ml-kem-512":
            continue
        key = Key(file, entry)
        check_jwk(key, entry)
        checked += 1
        for name, of in CHECKS.items():
            for it in entry[name]:
                of(key, it)
                checked += 1
    for it in file["indexes"]:
        assert index(it) == it["index"], it
        checked += 1
    print(f"{checked} things checked")


if __name__ == "__main__":
    verb, path = sys.argv[1:]
    if verb == "make":
        with open(path, "w") as out:
            json.dump(make(), out)
    else:
        with open(path) as source:
            check(json.load(source))
