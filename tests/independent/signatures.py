"""Verifies every signature of a log's checkpoints with Python's `cryptography`, post-quantum ones included.

Usage: signatures.py <directory>, laid out as crates/merkle/examples/write_log.rs writes it. Written from C2SP
signed-note and tlog-cosignature; ML-DSA-65 has no assigned type there, so it is ours (0xff and a name), over the same
message as ML-DSA-44.
"""

import base64
import hashlib
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey

TYPES = {
    b"\x01": Ed25519PublicKey,
    b"\x06": MLDSA44PublicKey,
    b"\xffwrit.dev/ml-dsa-65": MLDSA65PublicKey,
}


def read_key(path):
    """The name, key id, type and key of a verifier key: `<name>+<id>+<base64 of type and key>`."""
    name, stated_id, encoded = path.read_text().strip().split("+", 2)
    blob = base64.b64decode(encoded, validate=True)
    identifier = next(i for i in TYPES if blob.startswith(i))
    key_id = hashlib.sha256(name.encode() + b"\n" + blob).digest()[:4]
    assert key_id.hex() == stated_id, f"{path.name}: the key id is {stated_id}, not {key_id.hex()}"
    return name, key_id, identifier, TYPES[identifier].from_public_bytes(blob[len(identifier):])


def cosigned_message(cosigner, time, text):
    """The structure that a subtree cosignature of the whole tree covers."""
    origin, size, root = text.decode().split("\n")[:3]
    message = b"subtree/v1\n\0" + bytes([len(cosigner)]) + cosigner.encode() + time
    message += bytes([len(origin)]) + origin.encode() + bytes(8) + int(size).to_bytes(8, "big")
    return message + base64.b64decode(root, validate=True)


def verify(path, key_path):
    name, key_id, identifier, key = read_key(key_path)
    text, lines = path.read_bytes().split(b"\n\n", 1)
    text += b"\n"
    for line in lines.decode().splitlines():
        signer, encoded = line.removeprefix("\u2014 ").split(" ", 1)
        blob = base64.b64decode(encoded, validate=True)
        if signer != name or blob[:4] != key_id:
            continue
        time, signature = (b"", blob[4:]) if identifier == b"\x01" else (blob[4:12], blob[12:])
        message = cosigned_message(name, time, text) if time else text
        key.verify(signature, message)
        refuse(key, signature[:-1] + bytes([signature[-1] ^ 1]), message)
        print(f"ok {path.name} by {key_path.stem}")
        return
    raise ValueError(f"{path.name} is not signed by {key_path.stem}")


def refuse(key, signature, message):
    """A verifier that accepts anything would prove nothing."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return
    raise ValueError("a signature with one bit changed was accepted")


def main(directory):
    keys = sorted(directory.glob("*.vkey"))
    assert len(keys) == len(TYPES), f"one key of each type is needed, not {len(keys)}"
    for key in keys:
        verify(directory / "old.checkpoint", key)
        verify(directory / "log" / "checkpoint", key)


main(Path(sys.argv[1]))
