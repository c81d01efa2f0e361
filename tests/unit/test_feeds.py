"""A feed: each change once and in order, whoever joins when; what cannot be delivered so is left to a healing."""

from services.gateway.connection import Connection
from services.gateway.feeds import MAX_HELD, Feed
from services.gateway.native import NATIVE
from shared.bus.codec import encode_event, join_batch, to_json
from shared.contracts.messages import TimelinePurged
from tests.unit.feeds_world import NOW, ROOM, connection, gateway


class TestFeed:
    def feed(self, rev: int = 5) -> tuple[Feed, Connection]:
        """A feed in step, with one member."""
        feed, member = Feed(ROOM, "default"), connection(1)
        feed.join(member)
        feed.start(member, "0", rev, rev)
        return feed, member

    def test_the_next_change_is_delivered_once(self) -> None:
        """Again, or older, it is dropped without a query."""
        feed, _ = self.feed()
        assert feed.accept(6, 6)
        assert not feed.accept(6, 6)
        assert not feed.accept(3, 3)
        assert (feed.seq, feed.rev, feed.behind) == (6, 6, False)

    def test_a_gap_marks_the_feed_as_behind(self) -> None:
        """What follows a gap is not delivered before what is missing."""
        feed, _ = self.feed()
        assert not feed.accept(7, 7)
        assert feed.behind
        assert feed.rev == 5

    def test_nothing_is_delivered_while_healing(self) -> None:
        """Not even the next change: the healing brings it in its place."""
        feed, _ = self.feed()
        feed.healing = True
        assert not feed.accept(6, 6)
        assert feed.behind

    def test_what_comes_before_the_state_is_known_is_made_good(self) -> None:
        """A change that arrives while the first state is asked for leaves the feed behind it."""
        feed, first = Feed(ROOM, "default"), connection(1)
        feed.join(first)
        assert not feed.accept(6, 6)
        assert not feed.behind
        assert feed.start(first, "0", 5, 5) == []
        assert feed.behind

    def test_a_late_joiner_gets_what_it_was_not_told_of(self) -> None:
        """Changes up to the state it was told are left out, later ones follow in order."""
        feed, _ = self.feed()
        late = connection(2)
        feed.join(late)
        for rev in (6, 7, 8):
            feed.accept(rev, rev)
            feed.offer(rev, {NATIVE: b"%d" % rev})
        assert feed.start(late, "0", 6, 6) == [b"7", b"8"]
        assert late in feed.members

    def test_a_joiner_ahead_of_the_feed_waits_for_it(self) -> None:
        """Told a state that the feed has not reached yet, it gets only what is newer, and is then a member."""
        feed, _ = self.feed()
        late = connection(2)
        feed.join(late)
        assert feed.start(late, "0", 7, 7) == []
        for rev in (6, 7, 8):
            assert feed.accept(rev, rev)
            ready, _ = feed.offer(rev, {NATIVE: b""})
            assert ready == ([late] if rev > 7 else [])
            feed.promote()
            assert (late in feed.members) == (rev >= 7)
            if late in feed.members:
                break

    def test_holding_back_is_bounded(self) -> None:
        """A joiner whose state does not come counts as too slow."""
        feed, _ = self.feed(rev=0)
        late = connection(2)
        feed.join(late)
        for rev in range(1, MAX_HELD + 1):
            assert feed.offer(rev, {NATIVE: b""}) == ([], [])
        assert feed.offer(MAX_HELD + 1, {NATIVE: b""}) == ([], [late])

    def test_joining_twice_changes_nothing_for_a_member(self) -> None:
        """A member that subscribes again neither loses nor repeats anything."""
        feed, member = self.feed()
        feed.join(member)
        assert feed.start(member, "0", 5, 5) == []
        assert list(feed.connections) == [member]

    def test_a_feed_without_connections_is_unused(self) -> None:
        """Whoever leaves, joining or joined, leaves nothing behind."""
        feed, member = self.feed()
        late = connection(2)
        feed.join(late)
        feed.leave(member)
        assert not feed.unused
        feed.leave(late)
        assert feed.unused

    def test_a_joiner_whose_state_is_older_than_the_feed_asks_again(self) -> None:
        """Two join a new feed; what happened between their two answers was held back for nobody."""
        feed, one, other = Feed(ROOM, "default"), connection(1), connection(2)
        feed.join(one)
        feed.join(other)
        assert not feed.accept(6, 6)
        assert feed.start(other, "0", 6, 6) == []
        assert feed.start(one, "0", 5, 5) is None
        assert feed.start(one, "0", 6, 6) == []
        assert list(feed.members) == [other, one]

    def test_a_state_of_another_epoch_is_not_joined_on(self) -> None:
        """Either the feed or the state is of a history that is gone: the feed is healed, the state asked for again."""
        feed, _ = self.feed()
        late = connection(2)
        feed.join(late)
        assert feed.start(late, "1", 0, 0) is None
        assert feed.behind
        feed.reset("1", 0, 0)
        assert feed.start(late, "1", 0, 0) == []

    async def test_an_answer_for_a_feed_that_is_gone_does_not_stop_its_successor(self) -> None:
        """Everybody leaves while a feed is healed, somebody comes back: the new feed's own healing still counts."""
        hub, fanout = await gateway()
        feeds = []
        for number in (1, 2):
            joining = connection(number)
            hub.add(joining)
            feeds.append(feed := hub.join(joining, ROOM))
            feed.start(joining, "0", 5, 5)
            feed.accept(7, 7)
            fanout.heal(feed)
            if number == 1:
                hub.remove(joining)
        fanout._healed(feeds[0], [])
        feeds[0].suspect = True
        fanout.heal(feeds[0])
        assert fanout._next() == [feeds[1]]


class TestPurged:
    async def test_a_feed_of_a_room_that_was_purged_asks_where_it_stands(self) -> None:
        """It may stand at what was said before the room was made again: all that is new would look old."""
        hub, fanout = await gateway()
        member = connection(1)
        hub.add(member)
        feed = hub.join(member, ROOM)
        feed.start(member, "0", 3, 3)
        purged = encode_event(
            id="purged", source="/messages", type=TimelinePurged.TYPE, subject=ROOM, tenant="default",
            time=NOW, data=to_json(TimelinePurged(room_id=ROOM)),
        )  # fmt: skip
        fanout.apply(join_batch([purged]))
        assert feed.healing
