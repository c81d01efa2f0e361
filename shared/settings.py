"""Configuration from the environment: one table for all services, documented by its own descriptions.

`python -m services.gateway.schema` renders it to docs/generated/settings.md. A malformed value ends the start with
a message that names the variable; it never falls back to a default in silence.
"""

import os
import socket

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
