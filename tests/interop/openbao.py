"""Named keys in OpenBao: ciphertexts, signatures and keys of the types that both have move between, both ways.

Usage: openbao.py <program> <our file> <its file>. Takes the keys of our file in by import, has OpenBao decrypt and verify what
we made with them, and writes its own: what it encrypts and signs with our keys, and with keys of its own in a context and
convergently. WRIT_BAO names the program; the layout of the files is in README.md.
"""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from named_keys import CIPHERS, MESSAGES, oaep

ADDRESS = "127.0.0.1:18231"
PKCS8 = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


def call(method, path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://{ADDRESS}/v1/{path}", data, {"X-Vault-Token": "root"}, method=method)
    try:
        answer = urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{path}: {error.read().decode()}") from error
    return json.loads(answer)["data"] if answer else None


def b64(data):
    return base64.b64encode(data).decode()


def is_up():
    try:
        return bool(call("GET", "sys/mounts"))
    except (OSError, AssertionError):
        return False


def own_keys():
    """Keys that OpenBao makes and gives out, and what it encrypts with them."""
    for key_type in CIPHERS:
        for derived, convergent in [(False, False), (True, False), (True, True)]:
            name = f"{key_type}-{derived}-{convergent}"
            options = {"type": key_type, "exportable": True, "derived": derived, "convergent_encryption": convergent}
            call("POST", f"transit/keys/{name}", options)
            raw = base64.b64decode(call("GET", f"transit/export/encryption-key/{name}")["keys"]["1"])
            encrypted = []
            for aad in [b""] if convergent else [b"", b"order 7"]:
                for message in MESSAGES:
                    body = {"plaintext": b64(message.encode()), "associated_data": b64(aad)}
                    if derived:
                        body["context"] = b64(b"customer 1")
                    encrypted.append({
                        "aad": aad.hex(), "context": b"customer 1".hex() if derived else None, "convergent": convergent,
                        "plaintext": message.encode().hex(), "text": call("POST", f"transit/encrypt/{name}", body)["ciphertext"],
                    })
            yield {"type": key_type, "raw": raw.hex(), "encrypted": encrypted}


def bring(entry, wrapping_key):
    """Imports a key of ours; what we made with it is then of version 1."""
    if entry["pkcs8"]:
        target = serialization.load_pem_private_key(entry["pkcs8"].encode(), None).private_bytes(*PKCS8)
    else:
        target = bytes.fromhex(entry["raw"])
    kek = os.urandom(32)
    blob = wrapping_key.encrypt(kek, oaep(hashes.SHA256())) + keywrap.aes_key_wrap_with_padding(kek, target)
    key_type = entry["type"].replace("ml-dsa", "mldsa")
    call("POST", f"transit/keys/{entry['type']}/import", {"ciphertext": b64(blob), "type": key_type, "hash_function": "SHA256"})


def exchange(entry, version):
    """Has what we made with a key checked, and something made with it."""
    name, made = entry["type"], {"signed": [], "encrypted": []}

    def first(text):
        return text.replace(f"vault:v{version}:", "vault:v1:")

    for it in entry["signed"]:
        body = {
            "input": b64(bytes.fromhex(it["message"])), "hash_algorithm": it["hash"], "signature_algorithm": it["padding"],
            "marshaling_algorithm": it["marshaling"], "salt_length": it["salt"],
        }
        assert call("POST", f"transit/verify/{name}", body | {"signature": first(it["text"])})["valid"], (name, it)
        made["signed"].append(it | {"text": call("POST", f"transit/sign/{name}", body)["signature"]})
    for it in entry["encrypted"]:
        if it["context"] is None:
            bound = {"associated_data": b64(bytes.fromhex(it["aad"]))} if it["aad"] else {}
            opened = call("POST", f"transit/decrypt/{name}", bound | {"ciphertext": first(it["text"])})["plaintext"]
            assert base64.b64decode(opened).hex() == it["plaintext"], (name, it)
            sealed = call("POST", f"transit/encrypt/{name}", bound | {"plaintext": opened})["ciphertext"]
            made["encrypted"].append(it | {"text": sealed})
    for it in entry["codes"] if name == "hmac" else []:
        body = {"input": b64(bytes.fromhex(it["message"])), "algorithm": it["hash"]}
        assert call("POST", f"transit/hmac/{name}", body)["hmac"] == first(it["text"]), (name, it)
    return {key: entry[key] for key in ("type", "raw", "pkcs8", "public")} | made


def main(program, ours, theirs):
    arguments = ["server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address={ADDRESS}"]
    server = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not is_up():
            assert server.poll() is None, "OpenBao did not start"
            time.sleep(0.1)
        call("POST", "sys/mounts/transit", {"type": "transit"})
        wrapping_key = serialization.load_pem_public_key(call("GET", "transit/wrapping_key")["public_key"].encode())
        with open(ours) as source:
            file = json.load(source)
        keys = list(own_keys())
        for entry in file["keys"]:
            if not entry["type"].startswith("ml-kem"):  # OpenBao has none
                bring(entry, wrapping_key)
                keys.append(exchange(entry, file["version"]))
        with open(theirs, "w") as out:
            json.dump({"id": file["id"], "version": 1, "keys": keys, "indexes": []}, out)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
