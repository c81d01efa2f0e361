# ruff: noqa: INP001 - a script of the image, in no package
"""The image's HEALTHCHECK: exit code 0 when the service in this container is ready.

Standard library only, and no proxy from the environment between the two. The image gives all services the same port.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT = 3.0


def main() -> int:
    """Ask /readyz; 1 where it does not answer 200."""
    link = HTTPConnection("127.0.0.1", int(os.environ["PORT"]), timeout=TIMEOUT)
    try:
        link.request("GET", "/readyz")
        answer = link.getresponse()
        print(answer.read(1000).decode(errors="replace"))
    except (OSError, HTTPException) as error:
        print(f"{type(error).__name__}: {error}")
        return 1
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
