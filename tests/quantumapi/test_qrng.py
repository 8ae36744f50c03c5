"""Every public method of `client.qrng`."""

import uuid

from quantumapi import PermissionError, ValidationError

from house import SdkTest


class Qrng(SdkTest):
    role = "developer"

    async def test_get_entropy_in_every_format(self):
        for format in ("raw", "hex"):
            drawn = await self.client.qrng.get_entropy(33, format=format)
            self.assertEqual((len(drawn.as_bytes()), drawn.consumed_bytes, drawn.format), (33, 33, format))
        drawn = await self.client.qrng.get_entropy(32, format="uuid")
        self.assertEqual([uuid.UUID(one).version for one in drawn.entropy], [4, 4])
        for format, size in (("int32", 4), ("int64", 8)):
            drawn = await self.client.qrng.get_entropy(16, format=format)
            self.assertEqual(len(drawn.entropy), 16 // size)
            self.assertTrue(all(abs(number) < 2 ** (8 * size - 1) + 1 for number in drawn.entropy))

    async def test_it_says_where_the_bytes_come_from(self):
        drawn = await self.client.qrng.get_entropy(16, allow_csprng=True)
        self.assertEqual((drawn.source, drawn.is_quantum, drawn.source_details.provider), ("csprng", False, "system"))
        uuid.UUID(drawn.request_id)

    async def test_bounds(self):
        self.assertEqual(len((await self.client.qrng.get_entropy(65_536)).as_bytes()), 65_536)
        with self.assertRaises(ValidationError) as refused:
            await self.client.qrng.get_entropy(65_537)
        self.assertEqual(refused.exception.error_code, "invalid_request")
        with self.assertRaises(ValidationError) as refused:
            await self.client.qrng.get_entropy(16, format="octal")
        self.assertEqual(refused.exception.error_code, "invalid_format")

    async def test_who_may_not_draw_gets_nothing(self):
        async with self.another("viewer") as viewer:
            with self.assertRaises(PermissionError):
                await viewer.qrng.get_entropy(16)
