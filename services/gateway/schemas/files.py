"""OpenAPI of what is passed on to the media service: bodies that are bytes, and headers that say all. Pure.

What stands here is docs/media.md and services/media, told once more for tools: no contract knows of bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from services.gateway.rows import Pass
from services.gateway.schemas.components import JSON, Components
from services.gateway.schemas.examples import FILE, MOMENT, example
from shared.contracts.errors import ERRORS, ErrorCode
from shared.contracts.media import MAX_NAME, MediaView
from shared.contracts.media_terms import MediaKind, VariantName

LINK_SCHEME: JSON = {
    "type": "apiKey",
    "in": "query",
    "name": "signature",
    "description": "Of a signed link, together with `expires`.",
}
TUS = "1.0.0"
PNG = "a picture, a film, a recording or a document, as it is"
REASONS = "`details.reason` says what is wrong with the file (docs/media.md)."

BYTES: JSON = {"schema": {"type": "string", "format": "binary"}}
FORM: JSON = {
    "type": "object",
    "properties": {
        "kind": {"enum": [str(kind) for kind in MediaKind], "description": "What it shall be; else what it is."},
        "name": {"type": "string", "maxLength": MAX_NAME},
        "sha256": {"type": "string", "pattern": "^[0-9a-fA-F]{64}$", "description": "Its checksum."},
        "file": {"type": "string", "format": "binary", "description": "The bytes. Fields come before them."},
    },
    "required": ["file"],
}


def _header(name: str, text: str, *, required: bool = False, **schema: object) -> JSON:
    return {
        "name": name, "in": "header", "required": required, "description": text, "schema": {"type": "string", **schema},
    }  # fmt: skip


def _query(name: str, text: str, schema: JSON) -> JSON:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def _told(*names: str) -> JSON:
    return {name: {"schema": {"type": "string"}, "description": HEADERS[name]} for name in names}


HEADERS = {
    "Location": "Where it is now.",
    "Preference-Applied": "How long the answer was held back.",
    "ETag": "What names these bytes.",
    "Accept-Ranges": "`bytes`.",
    "Content-Range": "Which bytes these are, and of how many.",
    "Content-Disposition": "Its name, and whether a browser shows it in place.",
    "Cache-Control": "How long it may be kept.",
    "Tus-Resumable": "The version of the protocol.",
    "Tus-Version": "The versions that are spoken.",
    "Tus-Extension": "The extensions that are spoken.",
    "Tus-Max-Size": "Bytes that a file may have at most.",
    "Tus-Checksum-Algorithm": "The checksums that are known.",
    "Upload-Offset": "Bytes that have come.",
    "Upload-Length": "Bytes that there shall be.",
    "Upload-Expires": "When the upload is given up.",
}
"""What headers of answers say."""

PREFER = _header("Prefer", "`wait=20`: answer when the file is ready or refused, after so many seconds at the latest.")
VERSION = _header("Tus-Resumable", "The version of the protocol.", required=True, const=TUS)
CHECKSUM = _header("Upload-Checksum", "Of this request's bytes: `sha1` or `sha256`, and the digest in base64.")
LENGTH = _header("Upload-Length", "Bytes the file has.", required=True, pattern="^[0-9]{1,18}$")
OFFSET = _header("Upload-Offset", "Bytes that have come: where this goes on.", required=True, pattern="^[0-9]{1,18}$")
METADATA = _header("Upload-Metadata", "`filename`, `filetype` and `kind`, each with its value in base64.")
CONDITIONS = (
    _header("Range", "One range of bytes (RFC 9110, section 14.2)."),
    _header("If-Range", "The `ETag` for which the range counts."),
    _header("If-None-Match", "The `ETag` of what one has already."),
)
LINK = (
    _query("expires", "Of a signed link.", {"type": "integer"}),
    _query("signature", "Of a signed link.", {"type": "string"}),
)
NAMED = (
    _query("kind", "What it shall be; else what it is.", {"enum": [str(kind) for kind in MediaKind]}),
    _query("name", "The file's name, where it is sent as bare bytes.", {"type": "string", "maxLength": MAX_NAME}),
    _query("sha256", "Its checksum, in hex.", {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}),
)
PATHS: dict[str, JSON] = {
    "media_id": {"schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}, "example": FILE},
    "variant": {"schema": {"enum": [str(name) for name in VariantName]}, "example": "original"},
}
OFFSET_TYPE = {"application/offset+octet-stream": BYTES}

GONE = "The upload has expired, or its file was refused."
OTHERS = {
    405: "It is none of the methods that are known.",
    410: GONE,
    412: "Another version of the protocol is spoken here.",
    415: "The body is not `application/offset+octet-stream`.",
    416: "None of the file's bytes are in the range.",
    460: "What has come is not what its checksum says; nothing of it was kept.",
}
"""Statuses beyond those of the errors' codes."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a row takes and gives: of answers, by status, what they are and which headers they have."""

    parameters: tuple[JSON, ...] = ()
    body: JSON | None = None
    required: bool = False
    good: Mapping[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    codes: tuple[ErrorCode, ...] = ()
    others: tuple[int, ...] = ()


EVERYWHERE = (
    ErrorCode.INVALID, ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN, ErrorCode.INTERNAL, ErrorCode.UNAVAILABLE,
    ErrorCode.TIMEOUT,
)  # fmt: skip
TAKING = (*EVERYWHERE, ErrorCode.CONFLICT, ErrorCode.TOO_LARGE, ErrorCode.RATE_LIMITED)
GOING_ON = (*TAKING, ErrorCode.NOT_FOUND)
SHOWING = (*EVERYWHERE, ErrorCode.NOT_FOUND)
FILE_HEADERS = ("ETag", "Accept-Ranges", "Content-Disposition", "Cache-Control")
KEPT = {304: ("One has it already.", ("ETag", "Cache-Control"))}
SPOKEN = ("Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm")

UPLOADS = Described(good={204: ("What is spoken.", SPOKEN)}, codes=(ErrorCode.INTERNAL, ErrorCode.UNAVAILABLE))
DOWNLOAD: dict[int, tuple[str, tuple[str, ...]]] = {
    200: ("The file.", FILE_HEADERS), 206: ("A part of it.", (*FILE_HEADERS, "Content-Range")), **KEPT,
}  # fmt: skip

DESCRIBED: dict[tuple[str, str], Described] = {
    ("POST", "/v1/media"): Described(
        (*NAMED, PREFER, _header("Content-Digest", "`sha-256=:…:` of the bare bytes (RFC 9530).")),
        {"multipart/form-data": {"schema": FORM}, "application/octet-stream": BYTES},
        required=True,
        good={201: ("It was taken.", ("Location", "Preference-Applied"))},
        codes=TAKING,
    ),
    ("GET", "/v1/media/{media_id}/{variant}"): Described(
        (*LINK, *CONDITIONS), good=DOWNLOAD, codes=SHOWING, others=(412, 416)
    ),
    ("HEAD", "/v1/media/{media_id}/{variant}"): Described(
        (*LINK, *CONDITIONS), good=DOWNLOAD, codes=SHOWING, others=(412, 416)
    ),
    ("OPTIONS", "/v1/uploads"): UPLOADS,
    ("OPTIONS", "/v1/uploads/{media_id}"): replace(UPLOADS, codes=(*UPLOADS.codes, ErrorCode.NOT_FOUND)),
    ("POST", "/v1/uploads"): Described(
        (VERSION, LENGTH, METADATA, CHECKSUM),
        OFFSET_TYPE,
        good={201: ("It has begun.", ("Location", "Tus-Resumable", "Upload-Offset", "Upload-Expires"))},
        codes=TAKING,
        others=(412, 415, 460),
    ),
    ("HEAD", "/v1/uploads/{media_id}"): Described(
        (VERSION,),
        good={200: ("Where it stands.", ("Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Expires"))},
        codes=(*SHOWING, ErrorCode.CONFLICT),
        others=(410, 412),
    ),
    ("PATCH", "/v1/uploads/{media_id}"): Described(
        (VERSION, OFFSET, CHECKSUM),
        OFFSET_TYPE,
        required=True,
        good={204: ("It has come.", ("Tus-Resumable", "Upload-Offset", "Upload-Expires"))},
        codes=GOING_ON,
        others=(410, 412, 415, 460),
    ),
    ("DELETE", "/v1/uploads/{media_id}"): Described(
        (VERSION,), good={204: ("It is no more.", ("Tus-Resumable",))}, codes=GOING_ON, others=(410, 412)
    ),
    ("POST", "/v1/uploads/{media_id}"): Described(
        (
            VERSION,
            _header("X-HTTP-Method-Override", "The method that is meant.", required=True, pattern="^(PATCH|DELETE)$"),
            {**OFFSET, "required": False},
            CHECKSUM,
        ),
        OFFSET_TYPE,
        good={204: ("It is done.", ("Tus-Resumable", "Upload-Offset", "Upload-Expires"))},
        codes=GOING_ON,
        others=(405, 410, 412, 415, 460),
    ),
}


def operation(row: Pass, components: Components, error: JSON, named: Mapping[int, str], security: list[JSON]) -> JSON:
    """A row, as an operation.

    Args:
        error: refers to the schema of errors.
        named: what the responses of errors are called, by status.
    """
    told = DESCRIBED[row.method, row.path]
    parameters = [
        {"name": name, "in": "path", "required": True, **schema}
        for name, schema in PATHS.items()
        if f"{{{name}}}" in row.path
    ]
    made: JSON = {
        "operationId": _name_of(row),
        "tags": ["media"],
        "summary": row.summary,
        "description": REASONS if ErrorCode.TOO_LARGE in told.codes else row.summary,
        "parameters": [*parameters, *told.parameters],
        "responses": _responses(row, told, components, error, named),
    }
    if row.public:
        made["security"] = []
    else:
        made["parameters"] += [{"$ref": f"#/components/parameters/{name}"} for name in ("TenantTag", "TraceParent")]
    if row.linked:
        made["security"] = [*security, {"link": []}]
    if told.body is not None:
        made["requestBody"] = {"required": told.required, "content": told.body}
    return made


def _responses(row: Pass, told: Described, components: Components, error: JSON, named: Mapping[int, str]) -> JSON:
    responses: JSON = {}
    bodiless = row.method == "HEAD"
    for status, (text, headers) in told.good.items():
        responses[str(status)] = {"description": text, "headers": _told(*headers), **_content(row, status, components)}
    for status in sorted({ERRORS[code].status for code in told.codes}):
        reference = {"$ref": f"#/components/responses/{named[status]}"}
        responses[str(status)] = {"description": "Refused; HEAD has no body."} if bodiless else reference
    for status in told.others:
        shown = {} if bodiless else {"content": {"application/json": {"schema": error}}}
        responses[str(status)] = {"description": OTHERS[status], **shown}
    return dict(sorted(responses.items()))


def _content(row: Pass, status: int, components: Components) -> JSON:
    if row.path == "/v1/media":
        schema = components.ref(MediaView)
        shown = {**example(schema, components), "state": "pending", "created_at": MOMENT}
        return {"content": {"application/json": {"schema": schema, "example": shown}}}
    if row.method == "GET" and status != 304:
        return {"content": {"*/*": BYTES}}
    return {}


def _name_of(row: Pass) -> str:
    words = row.path.removeprefix("/v1/").replace("{", "").replace("}", "").replace("/", "_")
    return f"{row.method.lower()}_{words}"
