"""Every public method of `client.encryption`.

This version of the SDK cannot send a key id: it hands a UUID to a JSON encoder that takes none, and fails before it
sends anything. Where a call needs one, these tests send the SDK's own request model, and read the answer with the SDK's
own response model. `test_the_sdk_itself_sends_no_key_id` notices when that is mended.
"""

import base64

from quantumapi import NotFoundError, ValidationError
from quantumapi.models import encryption as models
from quantumapi.models.keys import KeyType

from house import SdkTest


class Encryption(SdkTest):
    role = "developer"

    async def made(self, algorithm, key_type=KeyType.ENCRYPTION, **more):
        return await self.client.keys.generate(self.name("key"), key_type, algorithm, **more)

    async def ask(self, what, request, answer):
        """What `request` gets from the path `what`, in the SDK's own models."""
        body = request.model_dump(mode="json", exclude_none=True)
        return answer(**await self.client.encryption._client.post(f"/api/v1/{what}", json_data=body))

    async def encrypted(self, key, plaintext, **more):
        request = models.EncryptRequest(plaintext=plaintext, key_id=key.id, **more)
        return await self.ask("encrypt", request, models.EncryptResponse)

    async def test_encrypt_and_decrypt_with_the_default_key(self):
        key = await self.made("ML-KEM-768", set_as_default=True)
        made = await self.client.encryption.encrypt("héllo")
        self.assertEqual((made.algorithm, made.key_id, made.key_version), ("ML-KEM-768", key.id, 1))
        opened = await self.client.encryption.decrypt(encrypted_payload=made.encrypted_payload)
        self.assertEqual(opened.plaintext, "héllo")

    async def test_decrypt_from_parts(self):
        for algorithm in ("ML-KEM-512", "ML-KEM-1024", "AES-256-GCM"):
            key = await self.made(algorithm)
            made = await self.encrypted(key, "parts")
            request = models.DecryptRequest(
                ciphertext=made.ciphertext, encapsulated_key=made.encapsulated_key, nonce=made.nonce,
                tag=made.tag, key_id=made.key_id, key_version=made.key_version,
            )
            self.assertEqual((await self.ask("decrypt", request, models.DecryptResponse)).plaintext, "parts")

    async def test_additional_data_and_binary_plaintexts(self):
        key = await self.made("ML-KEM-768")
        binary = base64.b64encode(bytes(range(256))).decode()
        made = await self.encrypted(key, binary, encoding="base64", additional_data="row 7")
        opened = await self.client.encryption.decrypt(made.encrypted_payload, additional_data="row 7")
        self.assertEqual(opened.plaintext, binary)
        with self.assertRaises(ValidationError) as refused:
            await self.client.encryption.decrypt(made.encrypted_payload, additional_data="row 8")
        self.assertEqual(refused.exception.error_code, "decryption_failed")

    async def test_sign_and_verify(self):
        data = base64.b64encode(b"message").decode()
        other = base64.b64encode(b"another").decode()
        for algorithm in ("ML-DSA-44", "ML-DSA-65", "ML-DSA-87", "Ed25519", "ECDSA-P256", "RSA-2048"):
            key = await self.made(algorithm, KeyType.SIGNING)
            made = await self.ask("sign", models.SignRequest(data=data, key_id=key.id), models.SignResponse)
            self.assertEqual((made.algorithm, made.key_id), (algorithm, key.id))
            for claimed, valid in ((data, True), (other, False)):
                claim = models.VerifyRequest(data=claimed, signature=made.signature, key_id=key.id)
                self.assertEqual((await self.ask("verify", claim, models.VerifyResponse)).is_valid, valid)

    async def test_the_sdk_itself_sends_no_key_id(self):
        key = await self.made("ML-DSA-65", KeyType.SIGNING)
        encryption = self.client.encryption
        for call in (
            encryption.sign("AA==", key.id), encryption.verify("AA==", "AA==", key.id), encryption.encrypt("x", key.id)
        ):
            with self.assertRaisesRegex(TypeError, "UUID is not JSON serializable"):
                await call

    async def test_a_key_of_another_environment_is_not_there(self):
        key = await self.made("ML-KEM-768")
        made = await self.encrypted(key, "secret")
        async with self.another("developer", "prod") as other:
            with self.assertRaises(NotFoundError):
                await other.encryption.decrypt(encrypted_payload=made.encrypted_payload)
