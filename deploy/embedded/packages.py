"""Installs a package of the distribution when this process may: apt-get as root or by sudo without a password.

Leaves no service running or enabled that was not there before: embedded mode starts its own.
"""

import asyncio
import os
import shutil

from deploy.embedded.home import Home
from deploy.embedded.process import Progress

# Run by sh as root, the package as $1. Debian asks policy-rc.d before it starts what it just installed: 101 is "no".
APT = """
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\\nexit 101\\n' > "$policy"
    chmod +x "$policy"
fi
apt-get -o DPkg::Lock::Timeout=300 update
apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$1"
if [ -e "/etc/init.d/$1" ]; then
    update-rc.d "$1" disable
fi
"""
# Lines of apt-get that tell a waiting person something.
NEWS = ("Get:", "Setting up", "Err:", "E:")


async def install(package: str, progress: Progress, home: Home) -> str | None:
    """Install `package`, showing what happens; all of the output goes to `log/install.log`.

    Returns:
        `None` when it is installed, else why it is not, as the rest of a sentence.
    """
    if shutil.which("apt-get") is None:
        return "this system has no apt-get to install it with"
    root = () if os.geteuid() == 0 else ("sudo", "-n")
    if root and not await _may_sudo():
        return "installing it needs root, or sudo without a password"
    progress(f"installing {package} with apt-get (a minute or two)")
    child = await asyncio.create_subprocess_exec(
        *root, "sh", "-c", APT, "sh", package,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        await _follow(child, progress, home)
    except asyncio.CancelledError:
        progress("apt-get finishes first, so that no package is left half installed")
        await child.communicate()
        raise
    if await child.wait() != 0:
        return f"apt-get could not install it; the end of {home.log_path('install')}:\n{home.tail('install')}"
    return None


async def _follow(child: asyncio.subprocess.Process, progress: Progress, home: Home) -> None:
    assert child.stdout is not None  # noqa: S101 - it was started with a pipe
    with home.open_log("install") as log:
        async for line in child.stdout:
            log.write(line)
            text = line.decode(errors="replace").rstrip()
            if text.startswith(NEWS):
                progress(f"    {text[:100]}")


async def _may_sudo() -> bool:
    if shutil.which("sudo") is None:
        return False
    child = await asyncio.create_subprocess_exec(
        "sudo", "-n", "true", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await child.wait() == 0
