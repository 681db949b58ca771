"""Run the embedded servers as test backends, with temporary data: the programs that `couponry up` runs."""

from cli.embedded_servers import EmbeddedBroker, EmbeddedPostgres
from tests.backends.handles import Broker, Postgres, ProcessMixin, temporary_folder


class EmbeddedKafka(ProcessMixin, Broker):
    """The development broker of the embedded extra."""

    def __init__(self) -> None:
        self.folder = temporary_folder("broker")
        self._server = EmbeddedBroker(self.folder)
        self._server.prepare()
        self.process = self._server.process
        self.bootstrap_servers = self._server.bootstrap_servers
        self.description = f"the embedded development broker on {self.bootstrap_servers}"


class EmbeddedPostgresServer(ProcessMixin, Postgres):
    """A real PostgreSQL with fsync on, from the wheel of the embedded extra."""

    def __init__(self) -> None:
        self.folder = temporary_folder("postgres")
        self._server = EmbeddedPostgres(self.folder, durable_creation=False)
        self._server.prepare()
        self.process = self._server.process
        self.admin_url = self._server.url("postgres")
        version = (self._server.data / "PG_VERSION").read_text(encoding="ascii").strip()
        self.description = f"PostgreSQL {version} from the embedded wheel on port {self._server.port}"
