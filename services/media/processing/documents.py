"""Documents: nothing is made of them, but what can be told cheaply is looked at to the end. Runs in the child.

A head tells what a document seems to be; here its directory or its last byte tells whether it is that. What a PDF or an
office document does when it is opened is not looked into: it is only ever served as an attachment.
"""

import codecs
from pathlib import Path
from zipfile import BadZipFile, LargeZipFile, ZipFile

from services.media.kinds import OOXML, PACKED, TEXTS
from services.media.refusals import Refused
from shared.contracts.media_terms import Refusal

_CHUNK = 1024 * 1024
_MAX_ENTRIES = 20_000
_PARTS = {mime: folder for folder, mime in OOXML.items()}
_FOREIGN = ("META-INF/MANIFEST.MF", "AndroidManifest.xml", "classes.dex")
"""Entries of programs that are zip archives as well."""


def check(source: Path, mime_type: str) -> None:
    """Look at a document to its end.

    Raises:
        Refused: `type_mismatch` where it is not what its head says, `damaged` where it is cut off.
    """
    if mime_type in TEXTS:
        _check_text(source)
    elif mime_type in _PARTS or mime_type in PACKED:
        _check_zipped(source, mime_type)
    elif mime_type == "application/pdf":
        _check_pdf(source)


def _check_text(source: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                if b"\x00" in chunk:
                    raise Refused(Refusal.TYPE_MISMATCH, "The file begins as text, but is none.")
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise Refused(Refusal.TYPE_MISMATCH, "The text is not all in UTF-8.") from error


def _check_zipped(source: Path, mime_type: str) -> None:
    """A document that is a zip archive: its directory is there, and has what such documents have."""
    try:  # NotImplementedError is zipfile's, over an archive of a version that it does not know
        with ZipFile(source) as archive:
            names = archive.namelist()
    except (BadZipFile, LargeZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise Refused(Refusal.DAMAGED, "The document's directory cannot be read: it may be cut off.") from error
    if len(names) > _MAX_ENTRIES:
        raise Refused(Refusal.DAMAGED, f"The document has more than {_MAX_ENTRIES} parts.")
    part = _PARTS.get(mime_type)
    expected = any(name.startswith(part) for name in names) if part else "mimetype" in names
    if not expected or (part and any(name in _FOREIGN for name in names)):
        raise Refused(Refusal.TYPE_MISMATCH, f"The file begins like a document of type '{mime_type}', but is none.")


def _check_pdf(source: Path) -> None:
    """A PDF file ends with a mark (ISO 32000-1, section 7.5.5), or nearly."""
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - 4096))
        if b"%%EOF" not in file.read():
            raise Refused(Refusal.DAMAGED, "The document is cut off: it ends before it is complete.")
