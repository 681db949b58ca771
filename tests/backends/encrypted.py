"""Run servers that require TLS and a password: Apache Kafka with SASL_SSL and SCRAM, PostgreSQL with only `hostssl`.

Each test run has a separate certificate authority, which nothing else trusts.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import psycopg
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from cli.embedded_servers import ACCOUNT_INSTEAD_OF_ROOT
from cli.processes import LOOPBACK, ServerProcess, attached_command, free_port
from tests.backends.apache import ApacheKafka, ask_metadata, one_node_properties
from tests.backends.handles import BackendError, Postgres, ProcessMixin, temporary_folder

USER = "couponry"


class Authority:
    """A certificate authority with one server certificate, as PEM files in a folder."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        server = authority.issue_cert(LOOPBACK, "localhost")
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca_file)
        self.chain = b"".join(one.bytes() for one in server.cert_chain_pems).decode()
        key = load_pem_private_key(server.private_key_pem.bytes(), None)
        # Kafka reads only PKCS#8; PostgreSQL reads it as well.
        self.key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class EncryptedKafka(ApacheKafka):
    """One Apache Kafka node for clients with SASL_SSL and SCRAM-SHA-512; `environment` has their settings."""

    def __init__(self, authority: Authority, *, heap_mb: int = 512) -> None:
        self.password = secrets.token_hex(16)
        self._authority = authority
        self._internal_port = free_port()
        super().__init__(heap_mb=heap_mb)
        self.process.answers = self._answers
        self.description += ", SASL_SSL with SCRAM-SHA-512"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "COUPONRY_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "COUPONRY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "COUPONRY_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "COUPONRY_KAFKA_SASL_USERNAME": USER,
            "COUPONRY_KAFKA_SASL_PASSWORD": self.password,
            "COUPONRY_KAFKA_SSL_CAFILE": str(self._authority.ca_file),
        }

    def _answers(self) -> None:
        ask_metadata(
            self._internal_port
        )  # the node's internal listener; only the encrypted one is advertised to clients

    def _write_properties(self, controller: str, overrides: Mapping[str, str]) -> None:
        internal = f"{LOOPBACK}:{self._internal_port}"
        properties = one_node_properties(internal, internal, controller)
        pem = self.folder / "server.pem"
        pem.write_text(self._authority.key + self._authority.chain, encoding="ascii")
        properties |= {
            "log.dirs": str(self.folder / "logs"),
            "listeners": f"{properties['listeners']},SASL_SSL://{self.bootstrap_servers}",
            "advertised.listeners": f"PLAINTEXT://{internal},SASL_SSL://{self.bootstrap_servers}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(pem),
            **overrides,
        }
        text = "".join(f"{name}={value}\n" for name, value in properties.items())
        self._properties.write_text(text, encoding="utf-8")

    def _format_options(self) -> list[str]:
        return ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={self.password}]"]


@cache
def postgres_with_tls() -> Path | None:
    """Return the programs of an installed PostgreSQL built with OpenSSL, None without one. The wheel's has no TLS."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        config = folder / "pg_config"
        if config.exists() and (folder / "initdb").exists():
            configured = subprocess.run(
                [config, "--configure"], capture_output=True, text=True, timeout=30, check=False
            )
            if "openssl" in configured.stdout:
                return folder
    return None


class EncryptedPostgres(ProcessMixin, Postgres):
    """A PostgreSQL that accepts only encrypted connections with a password."""

    def __init__(self, authority: Authority) -> None:
        programs = postgres_with_tls()
        if programs is None:
            raise BackendError("no PostgreSQL with OpenSSL is installed on this machine")
        self.folder = temporary_folder("postgres-tls")
        self.folder.chmod(0o711)
        self.port = free_port()
        self._authority = authority
        self._programs = programs
        self._account = ACCOUNT_INSTEAD_OF_ROOT if os.geteuid() == 0 else "-"
        self._data = self.folder / "data"
        self.password = secrets.token_hex(16)
        self._make_cluster()
        self.process = ServerProcess(
            name="PostgreSQL with TLS",
            command=self._command,
            answers=self._answers,
            log_path=self.folder / "postgres.log",
            working_folder=self.folder,
            environment={"LC_ALL": "C"},
            account=self._account,
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
        )
        self.admin_url = self.url_with(database="postgres")
        self.description = f"PostgreSQL with TLS on port {self.port}"

    def url_with(self, *, database: str = "postgres", password: str | None = None, **options: str) -> str:
        """Return a URL of a database of this server; `options` replace those that verify the server."""
        parameters = {"sslmode": "verify-full", "sslrootcert": str(self._authority.ca_file)} | options
        query = "&".join(f"{name}={value}" for name, value in parameters.items() if value)
        return f"postgresql://postgres:{password or self.password}@{LOOPBACK}:{self.port}/{database}?{query}"

    def _make_cluster(self) -> None:
        self._data.mkdir(mode=0o700)
        password = self.folder / "password"
        password.write_text(self.password, encoding="ascii")
        self._own(self._data, password)
        initdb = [str(self._programs / "initdb"), "-D", str(self._data), "-U", "postgres", "--encoding=UTF8",
                  "--locale=C", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]  # fmt: skip
        command = attached_command(initdb, at_parents_death=signal.SIGKILL, account=self._account)
        environment = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode != 0:
            raise BackendError(f"initdb failed: {(done.stderr or done.stdout).strip()[-800:]}")
        certificate, key = self._data / "server.crt", self._data / "server.key"
        certificate.write_text(self._authority.chain, encoding="ascii")
        key.write_text(self._authority.key, encoding="ascii")
        key.chmod(0o600)
        (self._data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n", encoding="ascii")
        self._own(certificate, key)

    def _command(self) -> list[str]:
        settings = {"listen_addresses": LOOPBACK, "port": self.port, "unix_socket_directories": "", "ssl": "on"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", str(self._data), *options]

    def _answers(self) -> None:
        with psycopg.connect(self.admin_url, connect_timeout=2) as connection:
            connection.execute("SELECT 1")

    def _own(self, *paths: Path) -> None:
        if self._account != "-":
            entry = pwd.getpwnam(self._account)
            for path in paths:
                os.chown(path, entry.pw_uid, entry.pw_gid)
