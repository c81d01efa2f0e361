"""Configuration from the environment: one table for all services, documented by its own descriptions.

`python -m services.gateway.schema` renders it to docs/generated/settings.md. A malformed value ends the start with
a message that names the variable; it never falls back to a default in silence.
"""

import os
import socket
from typing import Literal

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

DEVELOPMENT_SECRET = "parley-embedded-development-secret!"  # noqa: S105 - public on purpose, refused outside embedded mode
MIN_SECRET = 32


class SettingsError(Exception):
    """The environment is unusable; the message names each wrong variable."""


class Settings(BaseSettings):
    """Every environment variable Parley reads. For limits, 0 means unlimited."""

    model_config = SettingsConfigDict(case_sensitive=False, frozen=True, extra="ignore", populate_by_name=True)

    amqp_url: str = Field("amqp://guest:guest@127.0.0.1:5672/", description="RabbitMQ 3.10 or newer.")
    mongo_url: str = Field(
        "mongodb://127.0.0.1:27017/parley?replicaSet=parley",
        description="MongoDB 6.0 or newer, a replica set; the path names the database. Not needed by the gateway.",
    )
    host: str = Field("127.0.0.1", description="Address the HTTP ports bind to.")
    port: int = Field(3000, ge=0, le=65535, description="The gateway's port: WebSocket, REST, health, metrics.")
    listeners: str = Field(
        "",
        description="The gateway's ports, each with the dialect that is spoken there: `3000=auto,3001=booking`; "
        "empty: `PORT=auto`.",
    )
    chat_server_port: int = Field(
        0, ge=0, le=65535, description="Another port of the gateway, for the dialect `team`; 0: none."
    )
    websocket_namespace: str = Field(
        "/chat",
        pattern=r"^/[A-Za-z0-9_./-]{0,100}$",
        description="A Socket.IO namespace that is served as `/chat` is, besides it.",
    )
    ops_port: int = Field(
        0, ge=0, le=65535, description="Health and metrics port of the other services; 0 takes a free one."
    )
    instance: str = Field(
        "",
        pattern=r"^[\x21-\x7e]{0,100}$",
        description="Name of this process in logs, metrics and queue names; default: host name and pid.",
    )
    embedded: bool = Field(default=False, description="Set by embedded mode: allows the development secret.")

    jwt_secret: str = Field(
        "",
        validation_alias=AliasChoices("jwt_secret", "next_public_jwt_secret"),
        description="HS256 secret of at least 32 bytes. Also read from `NEXT_PUBLIC_JWT_SECRET`.",
    )
    jwt_public_key: str = Field("", description="PEM public key for RS256 or ES256 tokens, instead of a secret.")
    jwt_jwks_url: str = Field("", description="JWKS address for RS256 or ES256 tokens, instead of a secret.")
    jwt_audience: str = Field("", description="Required `aud` claim; empty: not checked.")
    jwt_issuer: str = Field("", description="Required `iss` claim; empty: not checked.")
    trust_tenant_header: bool = Field(
        default=False,
        description="Behind a proxy that sets it: `x-tenant-tag` decides for tokens without a tenant.",
    )
    allowed_origins: str = Field(
        "*",
        validation_alias=AliasChoices("allowed_origins", "websocket_cors_origin", "frontend_url"),
        description="Comma-separated origins whose pages may use the gateway, with cookies too; `*`: any, but without "
        "cookies; empty: the same host only. Also read from `WEBSOCKET_CORS_ORIGIN` or `FRONTEND_URL`.",
    )

    shards: int = Field(4, ge=1, le=256, description="Shards of the message stream; fixed per deployment.")
    messages_per_minute: int = Field(60, ge=0, description="Messages a user may send per minute and gateway.")
    connections_per_user: int = Field(5, ge=0, description="Open connections per user and gateway.")
    connections_per_minute_per_ip: int = Field(600, ge=0, description="New connections per address and minute.")
    max_connections: int = Field(20000, ge=0, description="Open connections per gateway.")
    max_message_length: int = Field(10000, ge=0, le=100_000, description="Characters in a message.")
    max_messages_per_session: int = Field(
        1000, ge=0, description="Messages in a `session` room; to go on, the conversation has to be cleared."
    )
    max_frame_bytes: int = Field(65536, ge=1024, le=1048576, description="Bytes in a client's frame or body.")
    max_in_flight: int = Field(64, ge=1, description="Unanswered commands per connection.")
    max_pending: int = Field(50000, ge=1, description="Unanswered commands per gateway.")
    write_buffer_limit: int = Field(1048576, ge=65536, description="Unsent bytes before a reader is too slow.")
    command_timeout: float = Field(10.0, gt=0, description="Seconds until an unanswered command is a `timeout`.")
    heartbeat: float = Field(25.0, gt=0, description="Seconds between pings; a silent peer is closed after two.")
    ping_timeout: float = Field(20.0, gt=0, description="Seconds in which a Socket.IO client has to answer a ping.")
    namespace_timeout: float = Field(
        45.0, gt=0, description="Seconds in which a Socket.IO client has to connect to a namespace."
    )
    drain_timeout: float = Field(10.0, ge=0, description="Seconds to finish what is in flight after SIGTERM.")
    max_rooms_subscribed: int = Field(1000, ge=1, description="Rooms one connection is subscribed to at once.")
    presence_lease: float = Field(
        30.0, gt=0, le=600, description="Seconds a gateway may be silent before its users count as gone."
    )
    presence_grace: float = Field(
        5.0, ge=0, le=600, description="Seconds without a connection before somebody is shown as offline."
    )
    receipts_max_members: int = Field(
        100,
        ge=0,
        description="Members up to which delivery is recorded by itself and all see each other's marks; 0: nowhere.",
    )
    media_url: str = Field(
        "http://127.0.0.1:3011",
        description="Where gateways find the media service's port for files: `http://host:port`.",
    )
    media_port: int = Field(3011, ge=0, le=65535, description="The media service's port for files.")
    media_secret: str = Field(
        "",
        description="Secret of at least 32 bytes that gateways and the media service share: it signs links to files, "
        "and what gateways say of who asks. Empty: `JWT_SECRET`.",
    )
    media_link_seconds: int = Field(
        3600, ge=1, le=604_800, description="Seconds for which a signed link to a file works, at least."
    )
    public_url: str = Field(
        "",
        description="Where clients reach the gateways, `https://chat.example.com`: links to files begin with it; "
        "empty: they are paths.",
    )
    media_store: Literal["gridfs", "directory", "s3"] = Field(
        "gridfs", description="Where files are kept: in MongoDB, in `UPLOAD_DIR`, or in a bucket (`S3_BUCKET`)."
    )
    upload_dir: str = Field(
        "uploads",
        min_length=1,
        description="The directory of the media store `directory`; shared by all its processes.",
    )
    s3_bucket: str = Field("", description="The bucket of the media store `s3`; it must exist.")
    s3_endpoint: str = Field("", description="Address of an S3-compatible server; empty: Amazon's.")
    s3_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_access_key: str = Field("", description="Key of the bucket; empty: what the environment or the machine has.")
    s3_secret_key: str = Field("", description="Its secret.")
    max_upload_size: int = Field(5_242_880, ge=0, description="Bytes of an uploaded file.")
    upload_sizes: str = Field(
        "",
        pattern=r"^((image|video|audio|file)=\d{1,15}(,(image|video|audio|file)=\d{1,15})*)?$",
        description="Bytes of a file where that differs by its kind: `video=209715200,file=52428800`.",
    )
    uploads_at_once: int = Field(5, ge=0, description="Uploads of a user that may be under way.")
    uploads_per_day: int = Field(500, ge=0, description="Files a user may upload in 24 hours.")
    upload_bytes_per_day: int = Field(1_073_741_824, ge=0, description="Bytes a user may upload in 24 hours.")
    tenant_media_bytes: int = Field(0, ge=0, description="Bytes that the files of one tenant may have together.")
    media_types: str = Field(
        "",
        pattern=r"^([\w.+-]+/[\w.+-]+(,[\w.+-]+/[\w.+-]+)*)?$",
        description="Media types that are taken as files besides the usual ones, such as `application/zip`.",
    )
    max_image_pixels: int = Field(50_000_000, ge=10_000, le=500_000_000, description="Pixels of a picture, all frames.")
    media_keep_unused: float = Field(
        86_400.0, gt=0, description="Seconds a file is kept that no message shows (yet, or any more)."
    )
    media_upload_patience: float = Field(
        86_400.0, gt=0, description="Seconds a resumable upload may rest before it is given up."
    )
    media_processes: int = Field(2, ge=1, le=64, description="Files a media process works on at once.")
    media_process_memory: int = Field(
        1_073_741_824, ge=268_435_456, description="Bytes of memory that work on one file may take."
    )
    media_process_seconds: float = Field(60.0, gt=0, description="Seconds that work on one file may take.")
    clamav_url: str = Field(
        "",
        description="A ClamAV daemon that looks at every file: `tcp://host:3310` or `unix:/run/clamd.sock`; empty: "
        "none.",
    )
    audit_retention_days: int = Field(
        0, ge=0, le=20_000, description="Days after which the rooms service lets the audit forget an act; 0: never."
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level logged.")

    @property
    def name(self) -> str:
        """The process's name in logs, metrics and queue names."""
        return self.instance or f"{socket.gethostname()}-{os.getpid()}"


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: naming every variable that is malformed.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']).upper()}: {item['msg']} (got {item['input']!r})"
            if "secret" not in str(item["loc"]).lower()
            else f"{item['loc'][0]}: {item['msg']}"
            for item in error.errors()
        )
        raise SettingsError(f"The environment is not usable. {problems}") from error


def unlimited(limit: int) -> float:
    """A limit as a number to compare with: 0 means unlimited."""
    return float(limit) if limit else float("inf")
