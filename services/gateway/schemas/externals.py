"""Events from outside in the terms of JSON Schema, with an example of each type. Pure."""

from services.gateway.schemas.components import JSON, Components, summary_of
from services.gateway.schemas.examples import MOMENT
from shared.contracts.envelope import CONTENT_TYPE, ExternalEnvelope
from shared.contracts.integration import EXTERNALS, MAX_EXTERNALS

LONE_CONTENT_TYPE = "application/cloudevents+json"

DATA: dict[str, JSON] = {
    "user.upserted": {"id": "bob", "name": "Bob", "avatar": "https://example.org/bob.png", "roles": ["customer"]},
    "user.deleted": {"id": "bob"},
    "event.created": {"event_id": "42", "title": "Jazz night", "creator_id": "alice", "participants": ["bob", "carol"]},
    "event.updated": {"event_id": "42", "title": "Swing night"},
    "event.cancelled": {"event_id": "42"},
    "event.participant_added": {"event_id": "42", "user_id": "dora"},
    "event.participant_removed": {"event_id": "42", "user_id": "bob"},
    "sortie.created": {"sortie_id": "7", "titre": "Randonnée", "createur_id": "alice"},
    "sortie.updated": {"sortie_id": "7", "titre": "Randonnée en forêt"},
    "sortie.deleted": {"sortie_id": "7"},
    "participation.requested": {"participation_id": "p-1", "sortie_id": "7", "user_id": "bob"},
    "participation.status_changed": {
        "participation_id": "p-1",
        "sortie_id": "7",
        "user_id": "bob",
        "status": "ACCEPTEE",
    },
    "session.created": {"session_id": "s-9", "user_id": "bob"},
    "session.ended": {"session_id": "s-9"},
    "room.members_set": {
        "external": {"kind": "event", "id": "42"},
        "members": [{"user_id": "alice", "role": "owner"}, {"user_id": "bob", "role": "member"}],
    },
}
"""What the data of each type may look like."""


def shown(kind: str) -> JSON:
    """An event of a type, whole."""
    return {
        "specversion": "1.0",
        "id": "b9f1c2d4",
        "source": "/events",
        "type": kind,
        "time": MOMENT,
        "tenant": "default",
        "data": DATA[kind],
    }


def external_envelopes(components: Components) -> dict[str, JSON]:
    """By type: an event's schema."""
    attributes = components.inline(ExternalEnvelope)["properties"]
    return {
        kind: components.put(
            f"external.{kind}",
            {
                "title": f"Event {kind}",
                "description": summary_of(model),
                "type": "object",
                "properties": {**attributes, "type": {"const": kind}, "data": components.ref(model)},
                "required": ["id", "source", "type", "data"],
            },
        )
        for kind, model in EXTERNALS.items()
    }


def external_bodies(components: Components) -> dict[str, JSON]:
    """By content type: events as the body of a request or message, with an example of each type."""
    kinds = external_envelopes(components)
    one: JSON = {"oneOf": list(kinds.values())}
    return {
        LONE_CONTENT_TYPE: {"schema": one, "examples": {kind: {"value": shown(kind)} for kind in kinds}},
        CONTENT_TYPE: {
            "schema": {"type": "array", "minItems": 1, "maxItems": MAX_EXTERNALS, "items": one},
            "examples": {"several": {"value": [shown(kind) for kind in ("event.created", "event.participant_added")]}},
        },
    }
