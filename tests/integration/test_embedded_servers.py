"""Broker and database of embedded mode, for real: they keep their data over `kill -9` and stop without a trace."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from pymongo import AsyncMongoClient

from deploy.embedded import status
from deploy.embedded.config import REPOSITORY
from deploy.embedded.errors import AlreadyRunning, EmbeddedError
from deploy.embedded.home import Home
from deploy.embedded.ports import find_free
from deploy.embedded.stack import Stack

QUORUM: dict[str, Any] = {"x-queue-type": "quorum"}
# RabbitMQ writes its register of quorum queues half a second after the last declaration. Killed before, it forgets the
# new queue's log and never elects a leader for it (rabbitmq/rabbitmq-server#15725); nothing tells when it has written.
REGISTER_WRITTEN = 1.5


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One pair of servers for the module."""
    async with Stack(tmp_path_factory.mktemp("stack"), port=find_free(), servers_only=True) as stack:
        yield stack


async def publish(stack: Stack, body: bytes) -> None:
    """One persistent message into a quorum queue, confirmed."""
    async with await aio_pika.connect(stack.amqp_url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("kept", durable=True, arguments=QUORUM)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, queue.name)


async def take(stack: Stack) -> bytes:
    """The next message of that queue."""
    async with await aio_pika.connect(stack.amqp_url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("kept", durable=True, arguments=QUORUM)
        message = await queue.get(timeout=10)
        await message.ack()
        return message.body


def database(stack: Stack) -> AsyncMongoClient[dict[str, Any]]:
    """A client as the services have one."""
    return AsyncMongoClient(stack.mongo_url, w="majority")


async def store(stack: Stack, key: str) -> None:
    """One document, acknowledged by a majority."""
    async with database(stack) as client:
        await client["parley"]["kept"].insert_one({"_id": key})


async def stored(stack: Stack, key: str) -> bool:
    """Whether that document is there."""
    async with database(stack) as client:
        return await client["parley"]["kept"].count_documents({"_id": key}) == 1


def command_line(pid: int) -> list[bytes]:
    """What the process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


async def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    """Nobody on the network reaches a private server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address this machine would use
        outside = probe.getsockname()[0]
    for port in stack.ports.broker() | stack.ports.database():
        with pytest.raises(OSError, match=r"\S"):
            await asyncio.open_connection(outside, port)


async def test_the_broker_keeps_its_messages_over_kill_9(stack: Stack) -> None:
    """A confirmed message is there after the restart."""
    await publish(stack, b"before the kill")
    await asyncio.sleep(REGISTER_WRITTEN)
    before = await stack.kill("rabbitmq")
    await stack.wait_ready("rabbitmq")
    assert stack.pids["rabbitmq"] != before
    assert await take(stack) == b"before the kill"


async def test_the_database_keeps_its_documents_over_kill_9(stack: Stack) -> None:
    """A write that a majority has journaled is there after the restart."""
    await store(stack, "before the kill")
    before = await stack.kill("mongod")
    await stack.wait_ready("mongod")
    assert stack.pids["mongod"] != before
    assert await stored(stack, "before the kill")


async def test_the_broker_survives_the_loss_of_its_name_server(stack: Stack) -> None:
    """And can itself be restarted afterwards, which needs the name server."""
    await stack.kill("epmd")
    await stack.wait_ready("epmd")
    await stack.kill("rabbitmq", signal.SIGTERM)
    await stack.wait_ready("rabbitmq")
    await publish(stack, b"after")
    assert await take(stack) == b"after"


async def test_pid_files_name_the_servers_themselves(stack: Stack) -> None:
    """`kill -9 $(cat rabbitmq.pid)` must hit the broker, not a shell that started it."""
    for name, program in {"rabbitmq": b"beam.smp", "mongod": b"mongod", "epmd": b"epmd"}.items():
        pid = int((stack.home.run / f"{name}.pid").read_text())
        assert pid == stack.pids[name]
        assert program in command_line(pid)[0]


async def test_status_sees_who_is_ready_and_who_is_not(stack: Stack) -> None:
    """It asks the processes, not their pid files."""
    lines, ready = await status.survey(stack.home)
    assert ready
    assert [line.split()[0] for line in lines] == ["epmd", "rabbitmq", "mongod"]
    await stack.kill("mongod")
    lines, ready = await status.survey(stack.home)
    assert not ready
    assert "Connect" in lines[2]
    await stack.wait_ready("mongod")


async def test_a_directory_has_one_supervisor(stack: Stack) -> None:
    """A second one is refused and does the first no harm."""
    with pytest.raises(AlreadyRunning, match=str(stack.home.root)):
        await Stack(stack.home.root, port=find_free(), servers_only=True).start()
    assert set(stack.pids) == {"epmd", "rabbitmq", "mongod"}


async def test_a_port_in_use_is_named_before_anything_starts(stack: Stack, tmp_path: Path) -> None:
    """Every conflict at once, each with what wanted the port."""
    second = Stack(tmp_path, port=stack.config.port, servers_only=True)
    with pytest.raises(EmbeddedError, match=rf"port {stack.ports.mongod} \(mongod\)") as refused:
        await second.start()
    assert f"port {stack.ports.amqp} (RabbitMQ (AMQP))" in str(refused.value)
    assert second.pids == {}
    assert not (tmp_path / "data" / "mongod").exists()


async def test_two_stacks_side_by_side_share_nothing_and_stop_without_a_trace(stack: Stack, tmp_path: Path) -> None:
    """A private stack can come and go beside another one."""
    async with Stack(tmp_path, port=find_free(), servers_only=True) as second:
        await store(stack, "first only")
        await publish(stack, b"first only")
        assert not await stored(second, "first only")
        with pytest.raises(aio_pika.exceptions.QueueEmpty):
            await take(second)
        assert len(second.home.leftovers()) >= 3
    assert Home(tmp_path).leftovers() == []
    assert [path.name for path in (tmp_path / "run").glob("*.pid")] == []
    assert await take(stack) == b"first only"


async def test_data_outlives_a_stop_a_change_of_port_and_a_killed_supervisor(tmp_path: Path) -> None:
    """The next start of the same directory finds everything, and no process in its way."""
    async with Stack(tmp_path, port=find_free(), servers_only=True) as stack:
        await store(stack, "kept")
        await publish(stack, b"kept")
    supervisor = await start_and_kill_supervisor(tmp_path)
    async with Stack(tmp_path, port=find_free(), servers_only=True) as stack:
        assert stack.home.supervisor() != supervisor
        assert await stored(stack, "kept")
        assert await take(stack) == b"kept"
    assert Home(tmp_path).leftovers() == []


async def start_and_kill_supervisor(root: Path) -> int:
    """Run the stack in `root` under a process of its own, then `kill -9` that process."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from deploy.embedded.ports import find_free\n"
        "from deploy.embedded.stack import Stack\n"
        "async def main():\n"
        "    async with Stack(Path(sys.argv[1]), port=find_free(), servers_only=True):\n"
        "        print('up', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(root), cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    async for line in child.stdout:
        if line == b"up\n":
            break
    child.kill()
    await child.wait()
    return child.pid
