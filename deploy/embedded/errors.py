"""What embedded mode can fail with. The command line prints these as one message and exits 1."""


class EmbeddedError(Exception):
    """Something the user can act upon: the message says what, where, and what to do."""


class AlreadyRunning(EmbeddedError):  # noqa: N818 - reads as what it says
    """Another supervisor holds this data directory.

    Args:
        pid: the supervisor's process id, `None` if it has not written it yet.
    """

    def __init__(self, root: object, pid: int | None) -> None:
        super().__init__(
            f"a stack is already running in {root} (supervisor pid {pid or 'unknown'}); `make down` stops it"
        )
        self.pid = pid


class StartFailed(EmbeddedError):  # noqa: N818 - reads as what it says
    """A process died or did not become ready while the stack started; carries the end of its log."""
