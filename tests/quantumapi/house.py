"""A server of ours, a tenant on it, and clients of the published SDK that use it.

The server is started once for all tests and ends with them. Its certificate is trusted as an operator would make it
trusted: through SSL_CERT_FILE.
"""

import atexit
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import httpx
from quantumapi import QuantumAPIClient

_numbers = itertools.count(1)


class House:
    """A running server with the tenant `acme` and its environments `dev` and `prod`."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="writ-quantumapi-"))
        config = self.directory / "writ.toml"
        config.write_text(
            f"data_dir = '{self.directory}/data'\n"
            "[server]\nlisten = '127.0.0.1:0'\n"
            "[limits]\nprincipal_per_second = 10000\nprincipal_burst = 10000\n"
        )
        with open(self.directory / "server.log", "wb") as log:
            self.process = subprocess.Popen(
                [os.environ["WRIT_PROGRAM"], "server", "--config", str(config)],
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self.end)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError((self.directory / "server.log").read_text())
        self.url = json.loads(line)["address"].replace("127.0.0.1", "localhost")
        os.environ["SSL_CERT_FILE"] = str(self.directory / "data" / "server.pem")
        self._found_tenant()

    def _found_tenant(self):
        init = self.call(None, "POST", "/api/v1/sys/init", {"protection": {"kind": "dev-file"}, "admin": "operator"})
        operator = self.log_in(init["enrolmentToken"])
        tenant = self.call(operator, "POST", "/api/v1/tenants", {"name": "acme", "admin": "ada"})
        self.admin = self.log_in(tenant["enrolmentToken"])
        self.environments = {}
        for name in ("dev", "prod"):
            made = self.call(self.admin, "POST", "/api/v1/environments", {"name": name, "kind": name})
            self.environments[name] = made["id"]

    def call(self, token, method, path, body=None, headers=None):
        """A request that is not the SDK's; what it answers, which must be a success."""
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        with httpx.Client(base_url=self.url) as client:
            answer = client.request(method, path, json=body, headers=headers)
        if not answer.is_success:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else {}

    def log_in(self, enrolment):
        return self.call(None, "POST", "/api/v1/sessions", {"token": enrolment})["token"]

    def key(self, role, environment="dev", scopes=("*",)):
        """The API key of a new person with `role` in one environment, or in all of them when that is None."""
        name = f"person-{next(_numbers)}"
        made = self.call(self.admin, "POST", "/api/v1/people", {"name": name})
        session = self.log_in(made["enrolmentToken"])
        binding = {"principal": made["person"]["id"], "role": role}
        if environment is not None:
            binding["environment"] = self.environments[environment]
        self.call(self.admin, "POST", "/api/v1/role-bindings", binding)
        wanted = {"label": "sdk", "scopes": list(scopes), "expiresAt": self._in_a_month()}
        return self.call(session, "POST", "/api/v1/api-keys", wanted)["secret"]

    @staticmethod
    def _in_a_month():
        import datetime

        end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30)
        return end.strftime("%Y-%m-%dT%H:%M:%SZ")

    def end(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=60)
        self.process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


_house = None


def house():
    """The one server of this process."""
    global _house
    if _house is None:
        _house = House()
    return _house


class SdkTest(unittest.IsolatedAsyncioTestCase):
    """A test with a client of its own, whose key has `role` in the environment `dev` only."""

    role = "secrets-admin"

    async def asyncSetUp(self):
        self.house = house()
        self.client = self.another(self.role)
        await self.client.__aenter__()
        self.addAsyncCleanup(self.client.__aexit__, None, None, None)

    def another(self, role, environment="dev", scopes=("*",)):
        """A client of another key. It does not repeat what fails."""
        key = self.house.key(role, environment, scopes)
        return QuantumAPIClient(api_key=key, base_url=self.house.url, max_retries=0)

    def name(self, what="thing"):
        """A name that no other test uses."""
        return f"{what}-{next(_numbers)}"
