"""Signed links in what clients are told: wherever messages and files stand, and for files of this server's only."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from services.gateway.linking import CONTRACTS, Linking, found, places
from services.gateway.passing import means_of
from shared.contracts.content import MessageView
from shared.contracts.media import FindMedia, GetMedia, MediaListView, MediaView
from shared.contracts.media_terms import VariantName
from shared.contracts.messages import GetHistory, GetMessage, GetRoomStates, SendMessage, Sync
from shared.contracts.timeline import SyncView
from shared.links import Links
from shared.settings import Settings, SettingsError

ID = "a" * 32
OTHER = "b" * 32
NOW = 1_000_000.0
LINKS = Links("s" * 32, 3600, "https://chat.example.com")
LINKING = Linking(LINKS, lambda: NOW)
ORIGINAL = LINKS.sign(ID, VariantName.ORIGINAL, NOW)
SMALL = LINKS.sign(ID, VariantName.SMALL, NOW)


def message(**attachment: Any) -> dict[str, Any]:
    return {"id": "m", "attachment": attachment}


def shown() -> dict[str, Any]:
    """A message with a file of this server's, as the messages service tells it."""
    return message(media_id=ID, url=f"/v1/media/{ID}/original", thumbnail_url=f"/v1/media/{ID}/small", name="a.png")


SIGNED = message(media_id=ID, url=ORIGINAL.url, thumbnail_url=SMALL.url, name="a.png")


class TestMessages:
    def test_both_links_are_signed(self) -> None:
        told = shown()
        LINKING.sign_message(told)
        assert told == SIGNED

    def test_the_media_service_takes_them(self) -> None:
        """What is signed here holds there."""
        parts = urlsplit(ORIGINAL.url)
        query = parse_qs(parts.query)
        assert (parts.scheme, parts.netloc, parts.path) == ("https", "chat.example.com", f"/v1/media/{ID}/original")
        expires, [signature] = int(query["expires"][0]), query["signature"]
        assert LINKS.holds(ID, VariantName.ORIGINAL, expires, signature, NOW)
        assert not LINKS.holds(OTHER, VariantName.ORIGINAL, expires, signature, NOW)

    @pytest.mark.parametrize(
        "told",
        [
            {"id": "m"},
            {"id": "m", "attachment": None},
            message(url="https://elsewhere.example/a.png"),
            message(url=f"/v1/media/{ID}/original"),
            message(media_id=ID, url=f"/v1/media/{OTHER}/original"),
            message(media_id=ID, url=f"/v1/media/{ID}/secret"),
            message(media_id=ID, url=f"https://elsewhere.example/v1/media/{ID}/original"),
            message(media_id=ID, url=f"/v1/media/{ID}/original/../../{OTHER}/original"),
        ],
    )
    def test_nothing_else_is_signed(self, told: dict[str, Any]) -> None:
        """A link is given for the file that the message shows, and for no other address that it may hold."""
        before = {**told, "attachment": told.get("attachment") and {**told["attachment"]}}
        LINKING.sign_message(told)
        assert told in (before, {"id": "m"})


class TestFiles:
    def test_all_forms_are_signed_and_it_is_said_until_when(self) -> None:
        file = {"id": ID, "variants": [{"name": name, "url": f"/v1/media/{ID}/{name}"} for name in VariantName]}
        LINKING.sign_file(file)
        assert [variant["url"] for variant in file["variants"]] == [  # type: ignore[index]
            LINKS.sign(ID, name, NOW).url for name in VariantName
        ]
        assert file["links_expire_at"] == "1970-01-12T15:00:00Z"
        assert MediaView.model_fields["links_expire_at"].annotation is not None

    def test_one_without_forms_has_no_links(self) -> None:
        file: dict[str, Any] = {"id": ID, "state": "pending"}
        LINKING.sign_file(file)
        assert file == {"id": ID, "state": "pending"}


class TestResults:
    REFINED = LINKING.results(CONTRACTS)

    def test_where_messages_and_files_are(self) -> None:
        """Whoever gives messages or files away is found by what is promised."""
        assert list(places(SyncView, MessageView)) == [("rooms", "*", "messages", "*")]
        assert list(places(MediaListView, MediaView)) == [("media", "*")]
        assert list(places(MessageView, MessageView)) == [()]
        assert {GetHistory.TYPE, GetMessage.TYPE, Sync.TYPE, GetRoomStates.TYPE} <= self.REFINED.keys()
        assert {GetMedia.TYPE, FindMedia.TYPE} <= self.REFINED.keys()
        assert SendMessage.TYPE not in self.REFINED

    @pytest.mark.parametrize(
        ("contract", "result"),
        [
            (GetMessage, shown),
            (GetHistory, lambda: {"messages": [{"id": "x"}, shown()]}),
            (Sync, lambda: {"rooms": {"r": {"messages": [shown()]}, "s": {"messages": []}}, "errors": {}}),
            (GetRoomStates, lambda: {"states": [{"last_message": shown()}, {"last_message": None}, {}]}),
        ],
    )
    def test_messages_are_signed_wherever_they_are(self, contract: Any, result: Any) -> None:
        told = result()
        self.REFINED[contract.TYPE](told)
        assert [message for path in places(contract.RESULT, MessageView) for message in found(told, path)][-1] == SIGNED

    def test_files_are_signed_in_lists(self) -> None:
        told = {"media": [{"id": ID, "variants": [{"name": "small", "url": f"/v1/media/{ID}/small"}]}]}
        self.REFINED[FindMedia.TYPE](told)
        assert told["media"][0]["variants"][0]["url"] == SMALL.url  # type: ignore[index]


@pytest.mark.parametrize(
    "address", ["media:3011", "ftp://media:3011", "http://media:3011/files", "http://", "https://a@b", "http://x:99999"]
)
@pytest.mark.parametrize("name", ["MEDIA_URL", "PUBLIC_URL"])
async def test_a_malformed_address_is_named(name: str, address: str) -> None:
    """The start ends with it."""
    with pytest.raises(SettingsError, match=f"^{name}: .*{address}"):
        means_of(Settings(embedded=True, **{name.lower(): address}))  # type: ignore[arg-type]


async def test_there_is_a_secret() -> None:
    """Users' tokens may be verified by a public key: then files need one of their own."""
    with pytest.raises(SettingsError, match="MEDIA_SECRET is not set"):
        means_of(Settings(jwt_public_key="-----BEGIN PUBLIC KEY-----"))
    _, carrier = means_of(Settings(jwt_public_key="-----BEGIN PUBLIC KEY-----", media_secret="s" * 32))
    await carrier.close()
