"""Every public method of `client.transit`."""

import base64

from quantumapi import InsufficientScopeError, KeyVersionBelowMinimumError, NotFoundError, ValidationError

from house import SdkTest


class Transit(SdkTest):
    role = "developer"

    async def made(self, key_type="encryption", algorithm="ML-KEM-768"):
        return await self.client.transit.create_key(
            self.name("key"), key_type=key_type, algorithm=algorithm, description="for tests", labels=["t"]
        )

    async def test_encrypt_and_decrypt(self):
        key = await self.made()
        made = await self.client.transit.encrypt(key.name, b"4111 1111")
        self.assertTrue(made.ciphertext.startswith("vault:v1:"))
        self.assertEqual((made.key_name, made.key_version), (key.name, 1))
        self.assertEqual((await self.client.transit.decrypt(key.name, made.ciphertext)).plaintext_bytes, b"4111 1111")
        text = await self.client.transit.encrypt(key.name, "héllo", encoding="utf8")
        opened = await self.client.transit.decrypt(key.name, text.ciphertext)
        self.assertEqual(opened.plaintext_bytes.decode(), "héllo")

    async def test_rewrap_rotate_key_and_set_min_decryption_version(self):
        key = await self.made(algorithm="AES-256-GCM")
        old = await self.client.transit.encrypt(key.name, b"x")
        rotated = await self.client.transit.rotate_key(key.id)
        self.assertEqual((rotated.key_id, rotated.new_version, rotated.previous_version), (key.id, 2, 1))
        new = await self.client.transit.rewrap(key.name, old.ciphertext)
        self.assertEqual(new.key_version, 2)
        config = await self.client.transit.set_min_decryption_version(key.name, 2)
        self.assertEqual((config.latest_version, config.min_decryption_version), (2, 2))
        for refused in (self.client.transit.decrypt, self.client.transit.rewrap):
            with self.assertRaises(KeyVersionBelowMinimumError):
                await refused(key.name, old.ciphertext)
        self.assertEqual((await self.client.transit.decrypt(key.name, new.ciphertext)).plaintext_bytes, b"x")
        with self.assertRaises(ValidationError) as refused:
            await self.client.transit.set_min_decryption_version(key.name, 9)
        self.assertEqual(refused.exception.error_code, "invalid_min_decryption_version")

    async def test_generate_data_key(self):
        key = await self.made()
        seen = await self.client.transit.generate_data_key(key.name, key_bytes=64, algorithm="AES-256-SIV")
        self.assertEqual((len(base64.b64decode(seen.plaintext_key)), seen.algorithm), (64, "AES-256-SIV"))
        opened = await self.client.transit.decrypt(key.name, seen.encrypted_key)
        self.assertEqual(opened.plaintext, seen.plaintext_key)
        unseen = await self.client.transit.generate_data_key(key.name, include_plaintext=False)
        self.assertEqual((unseen.plaintext_key, unseen.key_id), (None, key.id))

    async def test_hmac(self):
        key = await self.made("hmac", "HMAC-SHA256")
        one = await self.client.transit.hmac(key.name, b"data")
        self.assertEqual(one.hmac, (await self.client.transit.hmac(key.name, b"data")).hmac)
        other = await self.client.transit.hmac(key.name, b"data", algorithm="sha512")
        self.assertEqual(len(base64.b64decode(other.hmac.rsplit(":", 1)[1])), 64)

    async def test_sign_and_verify(self):
        key = await self.made("signing", "ML-DSA-65")
        made = await self.client.transit.sign(key.name, b"message")
        self.assertEqual((made.algorithm, made.key_name, made.key_version), ("ML-DSA-65", key.name, 1))
        self.assertTrue((await self.client.transit.verify(key.name, b"message", made.signature)).valid)
        self.assertFalse((await self.client.transit.verify(key.name, b"another", made.signature)).valid)

    async def test_batches_fail_item_by_item(self):
        key = await self.made()
        items = [f"item {number}".encode() for number in range(120)]
        made = await self.client.transit.batch_encrypt(key.name, items)
        ciphertexts = [result.ciphertext for result in made.results]
        ciphertexts[7] = ciphertexts[7][:-8]
        opened = await self.client.transit.batch_decrypt(key.name, ciphertexts)
        self.assertEqual([result.index for result in opened.results], list(range(120)))
        self.assertEqual((opened.results[7].plaintext, opened.results[7].error), (None, "decryption_failed"))
        self.assertEqual(base64.b64decode(opened.results[119].plaintext), items[119])

    async def test_create_key_and_get_key(self):
        key = await self.made("signing", "ECDSA-P256")
        found = await self.client.transit.get_key(key.id)
        self.assertEqual((found.name, found.algorithm, found.key_type), (key.name, "ECDSA-P256", "signing"))
        self.assertEqual((found.description, found.labels, found.is_post_quantum), ("for tests", ["t"], False))

    async def test_errors_have_their_classes(self):
        with self.assertRaises(NotFoundError):
            await self.client.transit.encrypt(self.name("nothing"), b"x")
        key = await self.made()
        async with self.another("developer", scopes=["vault.keys.read"]) as narrow:
            with self.assertRaises(InsufficientScopeError):
                await narrow.transit.encrypt(key.name, b"x")
