"""What counts as written to a client: what came after it knew where the room stood, and what an answer has brought."""

from services.gateway.connection import Connection
from services.gateway.delivered import BRINGS, reached_on
from services.gateway.feeds import Feed
from shared.contracts.errors import CloseCode
from shared.contracts.messages import GetHistory, Sync
from tests.unit.feeds_world import connection


def joined(feed: Feed, number: int) -> Connection:
    """A client who was told where the room stands."""
    reader = connection(number)
    reader.greeted = True
    feed.join(reader)
    feed.start(reader, "0", max(feed.seq, 3), max(feed.rev, 7))
    return reader


class TestFeeds:
    def test_who_has_been_sent_nothing_has_got_nothing(self) -> None:
        """A room's state says that there are messages; it does not bring them."""
        feed = Feed("r", "default")
        joined(feed, 1)
        assert reached_on(feed) == {}
        feed.accept(4, 8)
        joined(feed, 2)
        assert reached_on(feed) == {"user-1": 4}
        feed.accept(5, 9)
        assert reached_on(feed) == {"user-1": 5, "user-2": 5}

    def test_a_closed_connection_has_got_nothing(self) -> None:
        """Such as a reader that was too slow; another device of the same user may have it."""
        feed = Feed("r", "default")
        slow, _, greeting = joined(feed, 1), joined(feed, 2), joined(feed, 3)
        feed.accept(4, 8)
        slow.close(CloseCode.SLOW_CONSUMER, "too slow", 0.0)
        greeting.greeted = False
        assert reached_on(feed) == {"user-2": 4}
        joined(feed, 1)
        feed.accept(5, 9)
        assert reached_on(feed) == {"user-1": 5, "user-2": 5}

    def test_after_a_reset_everybody_reads_afresh(self) -> None:
        """What the feed went over was written to nobody."""
        feed = Feed("r", "default")
        joined(feed, 1)
        feed.accept(4, 8)
        feed.reset("1", 40, 80)
        assert reached_on(feed) == {}
        feed.accept(41, 81)
        assert reached_on(feed) == {"user-1": 41}


class TestAnswers:
    def test_a_sync_brings_its_messages(self) -> None:
        """The latest by seq, whatever the order; a room without any brings nothing."""
        result = {
            "rooms": {"a": {"messages": [{"seq": 4}, {"seq": 6}, {"seq": 2}]}, "b": {"messages": []}},
            "errors": {"c": "forbidden"},
        }
        assert list(BRINGS[Sync](result)) == [("a", 6)]

    def test_a_page_of_the_history_brings_its_messages(self) -> None:
        """They name their room."""
        page = [{"room_id": "a", "seq": 4}, {"room_id": "a", "seq": 5}]
        assert list(BRINGS[GetHistory]({"messages": page})) == [("a", 5)]
        assert list(BRINGS[GetHistory]({"messages": []})) == []
