"""Which media types there are: what each kind of file may be, what else they are called, how names end. Pure.

Types that are not listed here are not known; known ones that no kind allows are refused. What an operator allows
besides (MEDIA_TYPES) is taken as `file`, and never looked into.
"""

from collections.abc import Mapping
from typing import NamedTuple

from shared.contracts.media_terms import MediaKind

TEXT = "text/plain"
HTML = "text/html"
SVG = "image/svg+xml"
XML = "application/xml"
SCRIPT = "text/x-script"
ZIP = "application/zip"
OLE = "application/x-ole-storage"
OCTETS = "application/octet-stream"

DECODED = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"})
"""Pictures that are decoded here: always written anew, whatever kind they are sent as."""

OPAQUE = frozenset({"image/heic", "image/tiff", "image/bmp", "image/jp2", "image/jxl"})
"""Pictures that nothing here decodes. Their place and camera cannot be taken out, so they are taken only as what
somebody expressly calls a `file`."""

VIDEO = frozenset({"video/mp4", "video/webm", "video/quicktime", "video/3gpp", "video/ogg", "video/x-matroska"})
AUDIO = frozenset({
    "audio/mpeg", "audio/mp4", "audio/ogg", "audio/webm", "audio/wav", "audio/flac", "audio/aac", "audio/3gpp",
})  # fmt: skip

_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
OOXML: dict[str, str] = {
    "word/": _OOXML + "wordprocessingml.document",
    "xl/": _OOXML + "spreadsheetml.sheet",
    "ppt/": _OOXML + "presentationml.presentation",
}
"""Office Open XML documents, by the folder their main part lies in."""

PACKED = frozenset(
    {_ODF + name for name in ("text", "spreadsheet", "presentation", "graphics")} | {"application/epub+zip"}
)
"""Zip archives that say in their first entry, `mimetype`, what they are."""

ZIPPED = PACKED | frozenset(OOXML.values())
"""Documents that are zip archives."""

EXCEL = "application/vnd.ms-excel"
OLE_DOCUMENTS = frozenset({"application/msword", EXCEL, "application/vnd.ms-powerpoint"})

TEXTS = frozenset({
    TEXT, "text/csv", "text/markdown", "text/tab-separated-values", "text/calendar", "text/vcard", "text/vtt",
    "application/json", XML,
})  # fmt: skip
"""What is text: content does not tell these apart, so a name or a declared type does."""

DOCUMENTS = TEXTS | ZIPPED | OLE_DOCUMENTS | {"application/pdf", "application/rtf"}
OTHER_SOUND_AND_FILM = frozenset({
    "video/x-msvideo", "video/x-ms-wmv", "video/x-flv", "video/mpeg", "audio/amr", "audio/aiff", "audio/midi",
})  # fmt: skip
"""Which browsers do not play, and nothing here decodes."""

ALLOWED: Mapping[MediaKind, frozenset[str]] = {
    MediaKind.IMAGE: DECODED,
    MediaKind.VIDEO: VIDEO,
    MediaKind.AUDIO: AUDIO,
    MediaKind.FILE: DOCUMENTS | DECODED | OPAQUE | VIDEO | AUDIO | OTHER_SOUND_AND_FILM,
}
"""The media types a file of each kind may be."""

REFUSED: Mapping[str, str] = {
    HTML: "an HTML page",
    SVG: "an SVG picture",
    SCRIPT: "a script",
    "text/javascript": "a script",
    ZIP: "a zip archive",
    "application/java-archive": "a Java archive",
    "application/vnd.android.package-archive": "an Android package",
    "application/vnd.rar": "a RAR archive",
    "application/x-7z-compressed": "a 7z archive",
    "application/gzip": "a gzip archive",
    "application/x-bzip2": "a bzip2 archive",
    "application/x-xz": "an xz archive",
    "application/zstd": "a zstd archive",
    "application/x-lz4": "an lz4 archive",
    "application/x-compress": "a compressed file",
    "application/x-tar": "a tar archive",
    "application/x-cpio": "a cpio archive",
    "application/x-iso9660-image": "a disk image",
    "application/x-apple-diskimage": "a disk image",
    "application/vnd.ms-cab-compressed": "a cabinet archive",
    "application/x-unix-archive": "an archive",
    "application/vnd.debian.binary-package": "a Debian package",
    "application/x-rpm": "an RPM package",
    "application/x-chrome-extension": "a browser extension",
    "application/vnd.microsoft.portable-executable": "a program for Windows",
    "application/x-msi": "an installer",
    OLE: "a compound file that is no document",
    "application/x-elf": "a program",
    "application/x-mach-binary": "a program",
    "application/java-vm": "a Java class",
    "application/wasm": "a WebAssembly program",
    "application/x-shockwave-flash": "a Flash film",
    "application/postscript": "a PostScript program",
    "application/x-ms-shortcut": "a shortcut",
    "application/x-windows-program": "a script or setting that Windows runs",
    "application/vnd.ms-office.macro": "a document with macros",
    "application/vnd.sqlite3": "a database",
    "font/sfnt": "a font",
    "font/woff": "a font",
    "font/woff2": "a font",
    "application/vnd.ms-fontobject": "a font",
    "image/x-icon": "an icon",
    "image/vnd.adobe.photoshop": "a Photoshop document",
    "image/x-xcf": "a GIMP document",
    "image/vnd.dwg": "a drawing",
    "image/vnd.ms-photo": "a JPEG XR picture",
    "image/x-raw": "a camera's raw picture",
    "application/dicom": "a DICOM picture",
}
"""Known types that are not taken unless the operator allows them, in words."""

RUN_BY_NAME = frozenset({
    HTML, SVG, SCRIPT, "text/javascript", "application/x-ms-shortcut", "application/x-windows-program",
    "application/vnd.microsoft.portable-executable", "application/postscript",
})  # fmt: skip
"""Of these, what is nothing but text may be, too: a machine goes by its name."""

SYNONYMS: Mapping[str, str] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/apng": "image/png",
    "image/vnd.mozilla.apng": "image/png",
    "image/heif": "image/heic",
    "image/heic-sequence": "image/heic",
    "image/heif-sequence": "image/heic",
    "image/x-ms-bmp": "image/bmp",
    "image/x-bmp": "image/bmp",
    "image/jpx": "image/jp2",
    "image/svg": SVG,
    "image/x-canon-cr2": "image/x-raw",
    "image/x-canon-cr3": "image/x-raw",
    "video/x-m4v": "video/mp4",
    "video/mov": "video/quicktime",
    "video/3gp": "video/3gpp",
    "video/3gpp2": "video/3gpp",
    "video/matroska": "video/x-matroska",
    "video/avi": "video/x-msvideo",
    "video/vnd.avi": "video/x-msvideo",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/mp4a-latm": "audio/mp4",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-pn-wav": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-aac": "audio/aac",
    "audio/aacp": "audio/aac",
    "audio/3gpp2": "audio/3gpp",
    "audio/opus": "audio/ogg",
    "audio/vorbis": "audio/ogg",
    "application/ogg": "audio/ogg",
    "audio/x-aiff": "audio/aiff",
    "audio/x-midi": "audio/midi",
    "application/x-pdf": "application/pdf",
    "text/rtf": "application/rtf",
    "text/json": "application/json",
    "text/x-markdown": "text/markdown",
    "text/x-csv": "text/csv",
    "application/csv": "text/csv",
    "text/xml": XML,
    "application/xhtml+xml": HTML,
    "application/javascript": "text/javascript",
    "application/x-javascript": "text/javascript",
    "application/ecmascript": "text/javascript",
    "application/x-sh": SCRIPT,
    "application/x-shellscript": SCRIPT,
    "text/x-python": TEXT,
    "application/x-yaml": TEXT,
    "application/yaml": TEXT,
    "application/toml": TEXT,
    "application/sql": TEXT,
    "application/x-subrip": TEXT,
    "application/x-ndjson": TEXT,
    "application/x-zip-compressed": ZIP,
    "application/x-zip": ZIP,
    "application/x-rar-compressed": "application/vnd.rar",
    "application/x-rar": "application/vnd.rar",
    "application/x-gzip": "application/gzip",
    "application/x-lzip": "application/x-compress",
    "application/x-lzop": "application/x-compress",
    "application/x-brotli": "application/x-compress",
    "application/x-deb": "application/vnd.debian.binary-package",
    "application/x-google-chrome-extension": "application/x-chrome-extension",
    "application/x-msdownload": "application/vnd.microsoft.portable-executable",
    "application/x-dosexec": "application/vnd.microsoft.portable-executable",
    "application/x-msdos-program": "application/vnd.microsoft.portable-executable",
    "application/x-executable": "application/x-elf",
    "application/x-sqlite3": "application/vnd.sqlite3",
    "application/font-woff": "font/woff",
    "application/font-woff2": "font/woff2",
    "application/font-sfnt": "font/sfnt",
    "font/ttf": "font/sfnt",
    "font/otf": "font/sfnt",
}
"""Other names of media types."""

UNSAID = frozenset(
    {"", OCTETS, "binary/octet-stream", "application/x-www-form-urlencoded", "application/unknown", "*/*"}
)
"""What programs declare that do not know what they send; curl calls every body a form."""

_ENDINGS: dict[str, str] = {
    "image/jpeg": "jpg jpeg jpe jfif", "image/png": "png apng", "image/gif": "gif", "image/webp": "webp",
    "image/avif": "avif", "image/heic": "heic heif hif", "image/tiff": "tiff tif", "image/bmp": "bmp dib",
    "image/jp2": "jp2 jpx", "image/jxl": "jxl", "image/x-icon": "ico", "image/vnd.adobe.photoshop": "psd",
    "video/mp4": "mp4 m4v", "video/webm": "webm", "video/quicktime": "mov qt", "video/3gpp": "3gp 3g2",
    "video/ogg": "ogv", "video/x-matroska": "mkv", "video/x-msvideo": "avi", "video/x-ms-wmv": "wmv",
    "video/x-flv": "flv", "video/mpeg": "mpg mpeg",
    "audio/mpeg": "mp3", "audio/mp4": "m4a m4b", "audio/ogg": "ogg oga opus", "audio/webm": "weba",
    "audio/wav": "wav", "audio/flac": "flac", "audio/aac": "aac", "audio/amr": "amr", "audio/aiff": "aiff aif",
    "audio/midi": "mid midi", "audio/3gpp": "3ga",
    "application/pdf": "pdf", "application/rtf": "rtf", "application/msword": "doc",
    "application/vnd.ms-excel": "xls", "application/vnd.ms-powerpoint": "ppt", "application/epub+zip": "epub",
    OOXML["word/"]: "docx", OOXML["xl/"]: "xlsx", OOXML["ppt/"]: "pptx",
    _ODF + "text": "odt", _ODF + "spreadsheet": "ods", _ODF + "presentation": "odp", _ODF + "graphics": "odg",
    TEXT: "txt text log yaml yml toml ini srt", "text/csv": "csv", "text/markdown": "md markdown",
    "text/tab-separated-values": "tsv", "text/calendar": "ics", "text/vcard": "vcf", "text/vtt": "vtt",
    "application/json": "json", XML: "xml gpx kml",
    HTML: "html htm xhtml xht shtml mht mhtml hta", SVG: "svg svgz", "text/javascript": "js mjs jse",
    SCRIPT: "sh bash zsh csh command desktop",
    ZIP: "zip", "application/java-archive": "jar war ear", "application/vnd.android.package-archive": "apk",
    "application/vnd.rar": "rar", "application/x-7z-compressed": "7z", "application/gzip": "gz tgz",
    "application/x-bzip2": "bz2", "application/x-xz": "xz", "application/zstd": "zst", "application/x-tar": "tar",
    "application/x-iso9660-image": "iso img", "application/x-apple-diskimage": "dmg",
    "application/vnd.ms-cab-compressed": "cab", "application/vnd.debian.binary-package": "deb",
    "application/x-rpm": "rpm", "application/x-msi": "msi msp",
    "application/vnd.microsoft.portable-executable": "exe dll scr com sys cpl ocx",
    "application/java-vm": "class", "application/wasm": "wasm", "application/x-shockwave-flash": "swf",
    "application/postscript": "ps eps", "application/x-ms-shortcut": "lnk url webloc scf library-ms search-ms",
    "application/x-windows-program": "bat cmd ps1 psm1 vbs vbe wsf wsh reg inf msc chm hlp pif jnlp settingcontent-ms",
    "application/vnd.ms-office.macro": "docm dotm xlsm xltm xlam pptm potm ppam ppsm",
    "application/vnd.sqlite3": "sqlite", "font/sfnt": "ttf otf", "font/woff": "woff", "font/woff2": "woff2",
}  # fmt: skip

ENDINGS: Mapping[str, str] = {ending: mime for mime, endings in _ENDINGS.items() for ending in endings.split()}
"""What the ending of a name says of the type."""

ENDING_OF: Mapping[str, str] = {mime: endings.split()[0] for mime, endings in _ENDINGS.items()}
"""The usual ending of a type's names."""

FAMILIES: tuple[frozenset[str], ...] = (
    frozenset({"video/webm", "audio/webm", "video/x-matroska"}),
    frozenset({"video/mp4", "audio/mp4", "video/quicktime", "video/3gpp", "audio/3gpp"}),
    frozenset({"audio/ogg", "video/ogg"}),
    TEXTS,
)
"""Types that content tells apart badly or not at all: one may be said to be another."""

TWINS: tuple[tuple[str, str], ...] = (
    ("video/webm", "audio/webm"),
    ("video/mp4", "audio/mp4"),
    ("video/3gpp", "audio/3gpp"),
    ("video/ogg", "audio/ogg"),
)
"""Containers of film and of sound alone."""


class Limits(NamedTuple):
    """Bytes a file may have; 0 is unlimited."""

    general: int
    by_kind: Mapping[MediaKind, int]


def limits(max_upload_size: int, upload_sizes: str) -> Limits:
    """The settings `MAX_UPLOAD_SIZE` and `UPLOAD_SIZES`, which is such as `video=209715200,file=52428800`, or empty."""
    pairs = (item.split("=") for item in upload_sizes.split(",") if item)
    return Limits(max_upload_size, {MediaKind(kind): int(size) for kind, size in pairs})


def size_limit(limits: Limits, kind: MediaKind | None) -> float:
    """Bytes a file of this kind may have; of a kind not known yet, what the most generous kind allows."""
    sizes = [limits.by_kind.get(each, limits.general) for each in ([kind] if kind else MediaKind)]
    return max(size or float("inf") for size in sizes)


def canonical(declared: str | None) -> str | None:
    """A declared media type as it is called here, without parameters; None where nothing is said by it."""
    named = (declared or "").partition(";")[0].strip().lower()
    return None if named in UNSAID else SYNONYMS.get(named, named)


def ending(name: str) -> str:
    """The ending of a file's name in lower case, without the dot; empty where it has none."""
    stem, dot, last = name.strip().rpartition(".")
    return last.lower() if dot and stem else ""


def kind_of(mime_type: str) -> MediaKind | None:
    """What a file of this type is where nobody says otherwise; None for types that no kind allows by itself."""
    if mime_type in OPAQUE:
        return None
    return next((kind for kind, allowed in ALLOWED.items() if mime_type in allowed), None)


def alike(said: str, found: str) -> bool:
    """Whether what a file is said to be goes with what it was found to be."""
    if said == found or any(said in family and found in family for family in FAMILIES):
        return True
    if found in TEXTS:  # there are more types of text than are known here; and what Windows calls a table is Excel's
        return (said.startswith("text/") and said not in REFUSED) or (said, found) == (EXCEL, "text/csv")
    return found in ZIPPED and said == ZIP
