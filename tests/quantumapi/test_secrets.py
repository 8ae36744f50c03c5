"""Every public method of `client.secrets`."""

import uuid
import warnings

from quantumapi import ConflictError, NotFoundError, PermissionError, QuantumAPIError, ValidationError

from house import SdkTest


class Secrets(SdkTest):
    async def stored(self, value="hunter2", **more):
        return await self.client.secrets.create(self.name("secret"), value, **more)

    async def test_create_and_get(self):
        made = await self.stored(
            "s3cret", description="opens the safe", content_type="password", labels=["production", "database"],
            username="zoe", notes="under the mat", urls=[{"url": "https://example.org"}],
            custom_fields=[{"name": "pin", "value": "1234"}], totp_secret="JBSWY3DPEHPK3PXP",
        )
        self.assertEqual((made.value, made.version, made.is_active, made.has_totp), ("s3cret", 1, True, True))
        read = await self.client.secrets.get(made.id, include=["all"])
        self.assertEqual((read.name, read.value, read.content_type), (made.name, "s3cret", "password"))
        self.assertEqual((read.description, read.labels), ("opens the safe", ["production", "database"]))
        self.assertEqual((read.username, read.notes, read.totp_secret), ("zoe", "under the mat", "JBSWY3DPEHPK3PXP"))
        self.assertEqual((read.urls[0]["url"], read.custom_fields[0]["value"]), ("https://example.org", "1234"))

    async def test_create_refuses_a_name_that_is_taken(self):
        made = await self.stored()
        with self.assertRaises(ConflictError) as refused:
            await self.client.secrets.create(made.name, "other")
        self.assertEqual(refused.exception.error_code, "secret_exists")

    async def test_list_filters_and_pages(self):
        label = self.name("label")
        made = [await self.stored(content_type="api-key", labels=[label]) for _ in range(3)]
        page = await self.client.secrets.list(label=label, page_size=2)
        self.assertEqual((page.total, page.page, page.page_size, page.has_more), (3, 1, 2, True))
        rest = await self.client.secrets.list(label=label, page=2, page_size=2)
        self.assertEqual(({one.id for one in page.secrets + rest.secrets}, rest.has_more), ({one.id for one in made}, False))
        self.assertEqual((await self.client.secrets.list(label=label, content_type="password")).total, 0)
        self.assertEqual((await self.client.secrets.list(search=made[0].name.upper())).secrets[0].id, made[0].id)

    async def test_update(self):
        made = await self.stored(username="zoe", notes="old")
        name = self.name("renamed")
        updated = await self.client.secrets.update(
            made.id, name=name, description="new", content_type="login", labels=["staging"], notes="new",
            custom_fields=[{"name": "a", "value": 1}], is_favorite=True, totp_secret="JBSWY3DPEHPK3PXP",
        )
        self.assertEqual((updated.name, updated.description, updated.content_type), (name, "new", "login"))
        self.assertEqual((updated.labels, updated.is_favorite, updated.has_totp), (["staging"], True, True))
        read = await self.client.secrets.get(made.id)
        self.assertEqual((read.username, read.notes, read.custom_fields[0]["value"]), ("zoe", "new", 1))

    async def test_update_value_list_versions_and_get_version(self):
        made = await self.stored("one")
        for value in ("two", "three"):
            updated = await self.client.secrets.update_value(made.id, value)
        self.assertEqual((updated.id, updated.version), (made.id, 3))
        history = await self.client.secrets.list_versions(made.id, max_versions=2)
        self.assertEqual(history.secret_id, made.id)
        self.assertEqual([(one.version, one.value) for one in history.versions], [(3, "three"), (2, "two")])
        self.assertTrue(history.versions[0].changed_by.startswith("person:"))
        self.assertEqual((await self.client.secrets.get_version(made.id, 1)).value, "one")
        self.assertEqual((await self.client.secrets.get(made.id, version=2)).value, "two")

    async def test_rollback(self):
        made = await self.stored("one")
        await self.client.secrets.update_value(made.id, "two")
        self.assertEqual((await self.client.secrets.rollback(made.id, 1)).version, 3)
        self.assertEqual((await self.client.secrets.get(made.id)).value, "one")

    async def test_deactivate_activate_and_restore(self):
        made = await self.stored(labels=[self.name("label")])
        await self.client.secrets.deactivate(made.id)
        with self.assertRaises(ConflictError) as refused:
            await self.client.secrets.get(made.id)
        self.assertEqual(refused.exception.error_code, "secret_inactive")
        self.assertEqual((await self.client.secrets.list(label=made.labels[0])).total, 0)
        shown = await self.client.secrets.list(label=made.labels[0], include_inactive=True)
        self.assertFalse(shown.secrets[0].is_active)
        await self.client.secrets.activate(made.id)
        self.assertEqual((await self.client.secrets.get(made.id)).value, "hunter2")
        await self.client.secrets.deactivate(made.id)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            await self.client.secrets.restore(made.id)
        self.assertEqual((await self.client.secrets.get(made.id)).value, "hunter2")

    async def test_delete(self):
        made = await self.stored()
        await self.client.secrets.delete(made.id)
        with self.assertRaises(NotFoundError):
            await self.client.secrets.get(made.id)

    async def test_create_list_open_and_revoke_shared_links(self):
        made = await self.stored("one")
        link = await self.client.secrets.create_shared_link(made.id, expires_in_hours=2, max_access_count=1)
        self.assertEqual((link.secret_id, link.max_access_count, link.has_password), (str(made.id), 1, False))
        self.assertTrue(self.client.secrets.share_url(link.token).endswith(f"/share/{link.token}"))
        opened = await self.client.secrets.open_shared_link(link.token)
        self.assertEqual((opened.value, opened.access_count), ("one", 1))
        with self.assertRaises(ValidationError) as refused:
            await self.client.secrets.open_shared_link(link.token)
        self.assertEqual(refused.exception.error_code, "link_exhausted")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            other = await self.client.secrets.share(made.id, max_views=3, ttl="1d")
        listed = await self.client.secrets.list_shared_links(made.id)
        self.assertEqual([(one.status, one.token) for one in listed.links], [("Active", ""), ("Exhausted", "")])
        self.assertEqual(listed.total_count, 2)
        self.assertTrue(await self.client.secrets.revoke_shared_link(other.id))
        with self.assertRaises(QuantumAPIError) as refused:
            await self.client.secrets.open_shared_link(other.token)
        self.assertEqual((refused.exception.status_code, refused.exception.error_code), (410, "link_retired"))
        with self.assertRaises(NotFoundError) as refused:
            await self.client.secrets.open_shared_link("nonsense")
        self.assertEqual(refused.exception.error_code, "link_not_found")

    async def test_shared_links_with_a_password(self):
        made = await self.stored("one")
        link = await self.client.secrets.create_shared_link(made.id, password="open sesame")
        self.assertTrue(link.has_password)
        for password, code in ((None, "password_required"), ("open barley", "invalid_password")):
            with self.assertRaises(ValidationError) as refused:
                await self.client.secrets.open_shared_link(link.token, password)
            self.assertEqual(refused.exception.error_code, code)
        self.assertEqual((await self.client.secrets.open_shared_link(link.token, "open sesame")).value, "one")

    async def test_insights(self):
        made = await self.stored("hunter2")
        insight = await self.client.secrets.insights(made.id)
        self.assertEqual((insight.secret_name, insight.strength, insight.risk_level), (made.name, "weak", "high"))
        self.assertTrue(any("easy to guess" in one for one in insight.recommendations))
        strong = await self.stored("Xk7-pQ2w.Rt9z!Lm4")
        self.assertEqual((await self.client.secrets.insights(strong.id)).strength, "strong")

    async def test_import_secrets(self):
        known = await self.stored("old")
        items = [
            {"name": self.name("imported"), "value": "one", "content_type": "api-key", "labels": ["x"]},
            {"name": known.name, "value": "new"},
            {"name": "../escape", "value": "x"},
        ]
        done = await self.client.secrets.import_secrets(items)
        self.assertEqual((done.created, done.updated, done.failed), (1, 1, 1))
        self.assertEqual((await self.client.secrets.get(known.id)).value, "new")
        again = await self.client.secrets.import_secrets(items)
        self.assertEqual((again.created, again.updated, again.failed), (0, 0, 1))

    async def test_a_key_of_another_environment_learns_nothing(self):
        made = await self.stored()
        async with self.another("secrets-admin", "prod") as other:
            for call in (other.secrets.get, other.secrets.insights, other.secrets.delete, other.secrets.list_versions):
                with self.assertRaises(NotFoundError):
                    await call(made.id)
            with self.assertRaises(NotFoundError):
                await other.secrets.get(uuid.uuid4())

    async def test_who_may_list_and_not_read_is_told_so(self):
        made = await self.stored()
        async with self.another("viewer") as viewer:
            with self.assertRaises(PermissionError):
                await viewer.secrets.get(made.id)
