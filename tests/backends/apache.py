"""Run Apache Kafka as a Java process: one node that is broker and controller (KRaft), or a cluster of several nodes.

The data is in a temporary folder.
"""

import fcntl
import hashlib
import re
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cli.processes import LOOPBACK, ServerProcess, free_port
from tests.backends.handles import BackendError, Broker, ProcessMixin, temporary_folder

POM = Path(__file__).with_name("kafka") / "pom.xml"
CACHE = Path(__file__).resolve().parents[2] / ".kafka"
MAVEN_SECONDS = 600
JAVA_LEAST = 17


def unavailable() -> str | None:
    """Return why Apache Kafka can't be started here; None if nothing is known to prevent it."""
    java = shutil.which("java")
    if java is None:
        return f"java is not on the PATH (Kafka 4 needs Java {JAVA_LEAST})"
    version = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    found = re.search(r'version "(\d+)', version)
    if found is None or int(found[1]) < JAVA_LEAST:
        return f"java is too old: Kafka 4 needs Java {JAVA_LEAST}"
    if not _jars().is_dir() and shutil.which("mvn") is None:
        return "mvn is not on the PATH to download Kafka's jars"
    return None


def _jars() -> Path:
    """Return the folder for the jars of this pom. A changed pom has a new folder, so stale jars are never used."""
    return CACHE / f"jars-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"


def resolve_jars() -> Path:
    """Return the folder of Kafka's jars, downloaded by Maven on first use.

    One process downloads while others wait. A folder that exists is complete.
    """
    jars = _jars()
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jars.is_dir():
            return jars
        unfinished = CACHE / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=MAVEN_SECONDS, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode != 0:
            raise BackendError(f"Maven could not fetch Kafka's jars: {(done.stdout or done.stderr).strip()[-800:]}")
        unfinished.rename(jars)
    return jars


def version(jars: Path) -> str:
    """Return Kafka's version, taken from a jar's name."""
    return next(jars.glob("kafka-clients-*.jar")).stem.removeprefix("kafka-clients-")


def ask_metadata(port: int) -> None:
    """Raise unless the broker lists itself in a Metadata reply (version 1); from then on it serves clients."""
    request = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 0)
    with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as reply:
            size, _, brokers = struct.unpack(">iii", reply.read(12))
    if size < 8 or brokers < 1:
        raise ConnectionError("no broker yet")


def one_node_properties(listen: str, advertise: str, controller: str) -> dict[str, str]:
    """Return the settings of a node that is both broker and controller. Addresses are `host:port`."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{listen},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{advertise}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        # Topics are not created automatically: a mistyped name must not look like an empty topic.
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        # A killed node can only return after its session has expired (9 s by default); there is no other leader.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "1000",
        # One node can't hold three replicas; few partitions start faster.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
    }


class ApacheKafka(ProcessMixin, Broker):
    """One Apache Kafka node on loopback. A cluster passes its `controller` (host:port) and `overrides` of settings."""

    def __init__(
        self, *, heap_mb: int = 512, controller: str | None = None, overrides: Mapping[str, str] | None = None
    ) -> None:
        jars = resolve_jars()
        self.folder = temporary_folder("kafka")
        self.port = free_port()
        self.bootstrap_servers = f"{LOOPBACK}:{self.port}"
        self.description = f"Apache Kafka {version(jars)} as a Java process on {self.bootstrap_servers}"
        self._java = ["java", f"-Xmx{heap_mb}m", "-Dlog4j2.level=WARN", "-cp", f"{jars}/*"]
        self._properties = self.folder / "server.properties"
        self._write_properties(controller or f"{LOOPBACK}:{free_port()}", overrides or {})
        self._format()
        self.process = ServerProcess(
            name="Apache Kafka",
            command=lambda: [*self._java, "kafka.Kafka", str(self._properties)],
            answers=lambda: ask_metadata(self.port),
            log_path=self.folder / "kafka.log",
            working_folder=self.folder,
            stop_signals=(signal.SIGTERM,),
            stop_seconds=20,
        )

    def _write_properties(self, controller: str, overrides: Mapping[str, str]) -> None:
        properties = one_node_properties(self.bootstrap_servers, self.bootstrap_servers, controller)
        properties |= {"log.dirs": str(self.folder / "logs"), **overrides}
        text = "".join(f"{name}={value}\n" for name, value in properties.items())
        self._properties.write_text(text, encoding="utf-8")

    def _format_options(self) -> list[str]:
        """Return further options to format the storage with."""
        return []

    def _format(self) -> None:
        """Format the node's storage; Kafka refuses to start without it."""
        cluster_id = "MkU3OEVBNTcwNTJENDM2Qk"  # any 16 bytes in base64: no other node joins this cluster
        tool = [
            "kafka.tools.StorageTool",
            "format",
            "-t",
            cluster_id,
            "-c",
            str(self._properties),
            *self._format_options(),
        ]
        done = subprocess.run([*self._java, *tool], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise BackendError(f"Kafka's storage could not be formatted: {(done.stderr or done.stdout).strip()[-800:]}")


@contextmanager
def apache_cluster(count: int) -> Iterator[list[ApacheKafka]]:
    """Run a cluster of `count` nodes; its internal topics have three replicas."""
    controllers = [f"{LOOPBACK}:{free_port()}" for _ in range(count)]
    common = {
        "controller.quorum.voters": ",".join(f"{number}@{address}" for number, address in enumerate(controllers, 1)),
        "offsets.topic.replication.factor": "3",
        "transaction.state.log.replication.factor": "3",
        "transaction.state.log.min.isr": "2",
    }
    nodes: list[ApacheKafka] = []
    try:
        for number, controller in enumerate(controllers, 1):
            nodes.append(ApacheKafka(heap_mb=256, controller=controller, overrides={**common, "node.id": str(number)}))
        for node in nodes:  # none answers before most of them are running
            node.process.launch()
        for node in nodes:
            node.process.wait_until_it_answers()
        yield nodes
    finally:
        for node in nodes:
            node.close()
