"""Every public method of `client.keys`."""

import base64

from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from quantumapi import ConflictError, KeyRevokedError, NotFoundError, PermissionError, ValidationError
from quantumapi.models.keys import KeyStatus, KeyType

from house import SdkTest


class Keys(SdkTest):
    async def made(self, algorithm="ML-KEM-768", key_type=KeyType.ENCRYPTION, **more):
        return await self.client.keys.generate(
            name=self.name("key"), key_type=key_type, algorithm=algorithm, **more
        )

    async def test_generate_says_what_was_made(self):
        key = await self.made(description="orders", labels=["a", "b"], expires_at="2036-01-01T00:00:00Z")
        self.assertEqual((key.algorithm, key.key_type, key.version), ("ML-KEM-768", KeyType.ENCRYPTION, 1))
        self.assertEqual((key.status, key.is_post_quantum, key.labels), (KeyStatus.ACTIVE, True, ["a", "b"]))
        self.assertEqual((key.description, key.expires_at.year), ("orders", 2036))

    async def test_generate_makes_keys_for_each_purpose(self):
        for algorithm, key_type in [
            ("ML-DSA-65", KeyType.SIGNING), ("RSA-2048", KeyType.SIGNING), ("HMAC-SHA256", KeyType.HMAC),
        ]:
            self.assertEqual((await self.made(algorithm, key_type)).key_type, key_type)

    async def test_generate_refuses_a_name_that_is_taken(self):
        key = await self.made()
        with self.assertRaises(ConflictError) as refused:
            await self.client.keys.generate(key.name, KeyType.ENCRYPTION, "ML-KEM-768")
        self.assertEqual(refused.exception.error_code, "key_name_conflict")

    async def test_import_key_takes_a_key_of_ones_own(self):
        material = base64.b64encode(bytes(range(32))).decode()
        key = await self.client.keys.import_key(self.name("own"), KeyType.ENCRYPTION, "AES-256-GCM", material)
        self.assertEqual((key.algorithm, key.version), ("AES-256-GCM", 1))
        with self.assertRaises(ValidationError):
            await self.client.keys.import_key(self.name("own"), KeyType.ENCRYPTION, "AES-256-GCM", "AAAA")

    async def test_list_filters_and_pages(self):
        key = await self.made("ML-DSA-44", KeyType.SIGNING)
        await self.client.keys.rotate(key.id)
        listed = await self.client.keys.list(key_type=KeyType.SIGNING, status="active", page_size=200)
        self.assertIn(key.id, [one.id for one in listed.keys])
        self.assertEqual({one.key_type for one in listed.keys}, {KeyType.SIGNING})
        versions = await self.client.keys.list(key_type=KeyType.SIGNING, page_size=200, all_versions=True)
        self.assertEqual([one.version for one in versions.keys if one.id == key.id], [1, 2])
        first = await self.client.keys.list(page=1, page_size=1)
        self.assertEqual((len(first.keys), first.page_size, first.has_more), (1, 1, first.total > 1))

    async def test_list_versions_and_set_min_decryption_version(self):
        key = await self.made()
        await self.client.keys.rotate(key.id)
        config = await self.client.keys.set_min_decryption_version(key.id, 2)
        self.assertEqual((config.key_name, config.latest_version, config.min_decryption_version), (key.name, 2, 2))
        listed = await self.client.keys.list_versions(key.id)
        self.assertEqual([(one.version, one.is_active) for one in listed.versions], [(1, False), (2, True)])
        with self.assertRaises(ValidationError) as refused:
            await self.client.keys.set_min_decryption_version(key.id, 3)
        self.assertEqual(refused.exception.error_code, "invalid_min_decryption_version")

    async def test_get_tells_nothing_of_another_environment(self):
        key = await self.made()
        self.assertEqual((await self.client.keys.get(key.id)).name, key.name)
        async with self.another("developer", "prod") as other:
            with self.assertRaises(NotFoundError):
                await other.keys.get(key.id)

    async def test_rotate_makes_a_version_and_the_default(self):
        key = await self.made()
        rotated = await self.client.keys.rotate(key.id, name=self.name("renamed"))
        self.assertEqual((rotated.version, rotated.is_default), (2, True))
        self.assertNotEqual(rotated.name, key.name)

    async def test_delete_schedules_the_end(self):
        key = await self.made()
        await self.client.keys.delete(key.id, schedule_days=7)
        after = await self.client.keys.get(key.id)
        self.assertEqual(after.status, KeyStatus.SCHEDULED_DELETION)
        self.assertEqual((after.scheduled_deletion_date - after.updated_at).days, 7)
        with self.assertRaises(KeyRevokedError):
            await self.client.keys.generate_data_key(key.id)
        async with self.another("developer") as developer:
            with self.assertRaises(PermissionError):
                await developer.keys.delete(key.id)

    async def test_set_default(self):
        key = await self.made()
        await self.client.keys.set_default(key.id, KeyType.ENCRYPTION)
        self.assertTrue((await self.client.keys.get(key.id)).is_default)
        with self.assertRaises(ValidationError):
            await self.client.keys.set_default(key.id, KeyType.SIGNING)

    async def test_update(self):
        key = await self.made()
        name = self.name("updated")
        changed = await self.client.keys.update(key.id, name=name, description="new", status="disabled")
        self.assertEqual((changed.name, changed.description, changed.status), (name, "new", KeyStatus.INACTIVE))
        self.assertEqual((await self.client.keys.update(key.id, status="active")).status, KeyStatus.ACTIVE)

    async def test_export_public_key(self):
        key = await self.made("RSA-2048", KeyType.SIGNING)
        pem = load_pem_public_key((await self.client.keys.export_public_key(key.id)).encode())
        der = load_der_public_key(base64.b64decode(await self.client.keys.export_public_key(key.id, format="der")))
        self.assertEqual(pem.public_numbers(), der.public_numbers())

    async def test_get_public_key(self):
        key = await self.made("ML-DSA-65", KeyType.SIGNING, labels=["x"])
        plain = await self.client.keys.get_public_key(key.id, format="raw")
        self.assertEqual((plain.format, plain.name, len(base64.b64decode(plain.public_key))), ("raw", None, 1952))
        some = await self.client.keys.get_public_key(key.id, include=["name", "labels"])
        self.assertEqual((some.name, some.labels, some.state), (key.name, ["x"], None))
        everything = await self.client.keys.get_public_key(key.id, include=["all"])
        self.assertEqual((everything.key_type, everything.is_active), (KeyType.SIGNING, True))

    async def test_generate_data_key_and_unwrap(self):
        key = await self.made()
        context = base64.b64encode(b"tenant 7").decode()
        made = await self.client.keys.generate_data_key(key.id, key_bytes=32, context=context)
        self.assertEqual((len(base64.b64decode(made.plaintext_key)), made.algorithm), (32, "AES-256-GCM"))
        opened = await self.client.keys.unwrap(key.id, made.encrypted_key, context=context)
        self.assertEqual((opened.key_material, opened.key_id, opened.key_version), (made.plaintext_key, key.id, 1))
        with self.assertRaises(ValidationError):
            await self.client.keys.unwrap(key.id, made.encrypted_key)

    async def test_generate_data_key_without_plaintext(self):
        key = await self.made()
        made = await self.client.keys.generate_data_key_without_plaintext(key.id, key_bytes=16)
        self.assertIsNone(made.plaintext_key)
        opened = await self.client.keys.unwrap(key.id, made.encrypted_key)
        self.assertEqual(len(base64.b64decode(opened.key_material)), 16)

    async def test_transit_data_keys(self):
        key = await self.made("AES-256-GCM")
        seen = await self.client.keys.generate_transit_data_key(key.name)
        opened = await self.client.keys.unwrap(key.id, seen.encrypted_key)
        self.assertEqual(opened.key_material, seen.plaintext_key)
        unseen = await self.client.keys.generate_transit_data_key_without_plaintext(key.name, key_bytes=24)
        self.assertEqual((unseen.plaintext_key, unseen.key_id), (None, key.id))

    async def test_check(self):
        key = await self.made(expires_at="2036-01-01T00:00:00Z")
        self.assertTrue((await self.client.keys.check(key.id)).healthy)
        await self.client.keys.update(key.id, status="disabled")
        self.assertFalse((await self.client.keys.check(key.id)).healthy)
