"""Every public method of `client.health`, `client.usage` and `client.audit`."""

import datetime

from quantumapi import PermissionError, ValidationError
from quantumapi.models.keys import KeyType

from house import SdkTest


class Operation(SdkTest):
    async def test_check(self):
        health = await self.client.health.check()
        self.assertEqual((health.status, health.service), ("Healthy", "writ"))
        self.assertEqual((await self.client.health.version()).version, health.version)

    async def test_rate_limit(self):
        left = await self.client.health.rate_limit()
        self.assertEqual(left.limit, 10_000)
        self.assertLessEqual(left.remaining, left.limit)
        self.assertGreater(left.reset, 1_700_000_000)

    async def test_get_storage(self):
        before = await self.client.usage.get_storage()
        await self.client.secrets.create(self.name("secret"), "x" * 1000)
        after = await self.client.usage.get_storage()
        grown = after.category("secrets").bytes - before.category("secrets").bytes
        self.assertEqual((grown, after.category("secrets").items - before.category("secrets").items), (1000, 1))
        self.assertLessEqual(after.period_start, after.as_of)
        self.assertLessEqual(after.as_of, after.period_end)
        self.assertEqual(after.period_start.day, 1)


class Audit(SdkTest):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.auditor = self.another("auditor", None)
        await self.auditor.__aenter__()
        self.addAsyncCleanup(self.auditor.__aexit__, None, None, None)

    async def test_list_tells_who_did_what_to_what(self):
        begun = datetime.datetime.now(datetime.timezone.utc)
        made = await self.client.secrets.create(self.name("secret"), "hunter2")
        await self.client.secrets.get(made.id)
        logs = await self.auditor.audit.list(action="vault.secrets.read", key_id=made.id, from_=begun)
        self.assertEqual((logs.total_count, logs.page, logs.page_size), (1, 1, 50))
        entry = logs.items[0]
        self.assertEqual((entry.resource_id, entry.resource_name, entry.outcome), (made.id, made.name, "success"))
        self.assertEqual((entry.actor_type, entry.category), ("apiKey", "other"))
        self.assertTrue(entry.actor.startswith("apikey:"))
        self.assertEqual(entry.ip_address, "127.0.0.1")
        mine = await self.auditor.audit.list(actor=entry.actor.upper(), page_size=1)
        self.assertEqual((mine.items[0].actor, len(mine.items)), (entry.actor, 1))
        self.assertGreaterEqual(mine.total_count, 2)
        self.assertEqual((await self.auditor.audit.list(key_id=made.id, to=begun)).total_count, 0)

    async def test_list_speaks_of_keys_in_the_words_of_the_sdk(self):
        key = await self.client.keys.generate(self.name("key"), KeyType.ENCRYPTION, "AES-256-GCM")
        await self.client.transit.encrypt(key.name, b"x")
        logs = await self.auditor.audit.list(category="keys", action=["Encrypt", "KeyCreated"], key_id=key.id)
        self.assertEqual([one.action for one in logs.items], ["Encrypt", "KeyCreated"])

    async def test_refusals_are_listed_as_denied(self):
        made = await self.client.secrets.create(self.name("secret"), "hunter2")
        async with self.another("viewer") as viewer:
            with self.assertRaises(PermissionError):
                await viewer.secrets.get(made.id)
        logs = await self.auditor.audit.list(action="vault.secrets.read", key_id=made.id)
        self.assertEqual([(one.outcome, one.error) for one in logs.items], [("denied", "forbidden")])

    async def test_who_may_not_read_the_log_is_refused(self):
        with self.assertRaises(PermissionError):
            await self.client.audit.list()
        with self.assertRaises(ValidationError):
            await self.auditor.audit.list(page_size=201)
