"""Why a file is not taken. Pure."""

from shared.contracts.media_terms import Refusal


class Refused(Exception):  # noqa: N818 - what became of a file, which callers expect
    """A file is not taken, and trying again would not change that.

    Args:
        reason: in one word.
        message: what is wrong with it and what to do; shown to its owner.
    """

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
