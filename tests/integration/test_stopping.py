"""A process that does not end when it is told to says what keeps it."""

import asyncio
import json
import os
import signal
import sys

PROGRAM = """
import asyncio, shared.service

async def stubborn():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def main(service):
    service.tasks.spawn(stubborn(), "one that stays")
    await service.until_stopped()

shared.service.run("media", main)
"""


async def test_what_keeps_a_process_from_ending_is_told() -> None:
    """Before whoever supervises it kills it: the tasks that are left, and where its threads are."""
    env = {**os.environ, "DRAIN_TIMEOUT": "0"}
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, env=env, stdout=pipe, stderr=pipe)
    assert child.stdout is not None
    assert child.stderr is not None
    try:
        lines = child.stderr
        async with asyncio.timeout(20):
            while b'"started"' not in await lines.readline():
                pass
            child.send_signal(signal.SIGTERM)
            left, threads = b"", False
            while not left or not threads:
                line = await lines.readline()
                left = line if b"stopping takes long" in line else left
                threads = threads or b"hread 0x" in line
    finally:
        child.kill()
        await child.communicate()
    [stays] = [task for task in json.loads(left)["tasks"] if task.startswith("one that stays at ")]
    assert "locks.py" in stays
