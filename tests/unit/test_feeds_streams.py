"""Feeds under every order of events, losses, repetitions, joins and healings that hypothesis can think of.

The room is a model in memory; Fanout, Hub, Feed and Connection are the real ones. What Fanout does between two
awaits is one step here.
"""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typing_extensions import override

from shared.bus.codec import encode_event, join_batch, to_json
from shared.contracts.content import MessageType, MessageView, SenderView
from shared.contracts.messages import MessageCreated, MessageDeleted, MessageUpdated, TimelineCleared, TimelineEvent
from shared.contracts.timeline import RoomSyncView
from tests.unit.feeds_world import NOW, PAGE, ROOM, Asked, Client, connection, gateway


class Streams(RuleBasedStateMachine):
    """One room, a broker that may lose, repeat and reorder, and clients that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.hub, self.fanout = asyncio.run(gateway())
        self.messages: list[MessageView] = []
        self.rev = self.cleared = 0
        self.clearings: list[tuple[int, int]] = []
        self.wire: list[bytes] = []
        self.clients: list[Client] = []
        self.asked: list[Asked] = []
        self.number = 0

    # ── the room ─────────────────────────────────────────────────────────────────────────────────────────────────

    def change(self, event: type[TimelineEvent], view: MessageView) -> None:
        """Store a new state and publish it."""
        self.messages[view.seq - 1 :] = [view, *self.messages[view.seq :]]
        envelope = encode_event(
            id=f"{view.seq}:{view.rev}", source="/model", type=event.TYPE, subject=ROOM, tenant="default",
            time=NOW, data=to_json(event(message=view)), seq=view.seq, rev=view.rev,
        )  # fmt: skip
        self.wire.append(envelope)

    @rule()
    def write(self) -> None:
        self.rev += 1
        seq = len(self.messages) + 1
        view = MessageView(
            id=f"{seq:024x}", room_id=ROOM, seq=seq, rev=self.rev, type=MessageType.TEXT, content="hi",
            sender=SenderView(id="alice"), created_at=NOW,
        )  # fmt: skip
        self.messages.append(view)
        self.change(MessageCreated, view)

    @property
    def standing(self) -> list[MessageView]:
        """The messages that were not cleared."""
        return self.messages[self.cleared :]

    @precondition(lambda self: self.standing)
    @rule()
    def clear(self) -> None:
        self.rev += 1
        self.cleared = len(self.messages)
        self.clearings.append((self.rev, self.cleared))
        event = TimelineCleared(room_id=ROOM, seq=self.cleared, rev=self.rev, by="alice", at=NOW)
        envelope = encode_event(
            id=f"cleared:{self.rev}", source="/model", type=event.TYPE, subject=ROOM, tenant="default",
            time=NOW, data=to_json(event), seq=self.cleared, rev=self.rev,
        )  # fmt: skip
        self.wire.append(envelope)

    @precondition(lambda self: self.standing)
    @rule(data=st.data(), deleted=st.booleans())
    def alter(self, data: st.DataObject, *, deleted: bool) -> None:
        view = data.draw(st.sampled_from(self.standing))
        self.rev += 1
        update = {"rev": self.rev, "deleted_at" if deleted else "edited_at": NOW}
        self.change(MessageDeleted if deleted else MessageUpdated, view.model_copy(update=update))

    # ── the broker ───────────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.wire)
    @rule()
    def deliver_next(self) -> None:
        self.fanout.apply(join_batch([self.wire.pop(0)]))

    @precondition(lambda self: self.wire)
    @rule(data=st.data(), again=st.booleans())
    def deliver_any(self, data: st.DataObject, *, again: bool) -> None:
        at = data.draw(st.integers(0, len(self.wire) - 1))
        self.fanout.apply(join_batch([self.wire[at] if again else self.wire.pop(at)]))

    @precondition(lambda self: self.wire)
    @rule()
    def deliver_all(self) -> None:
        self.fanout.apply(join_batch(self.wire))
        self.wire.clear()

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def lose_one(self, data: st.DataObject) -> None:
        self.wire.pop(data.draw(st.integers(0, len(self.wire) - 1)))

    @rule()
    def lose_the_link(self) -> None:
        self.wire.clear()
        self.fanout.heal_all()

    # ── clients, as services.gateway.subscriptions lets them join ────────────────────────────────────────────────

    @rule()
    def join(self) -> None:
        self.number += 1
        joining = connection(self.number)
        self.hub.add(joining)
        client = Client(joining, self.hub.join(joining, ROOM))
        self.clients.append(client)
        self.asked.append(Asked(client.feed, client))

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(self.clients))
        self.clients.remove(client)
        self.hub.remove(client.connection)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def read_state(self, data: st.DataObject) -> None:
        """The messages service looks: what it sees is older when the answer arrives."""
        asked = data.draw(st.sampled_from(self.asked))
        if asked.client is not None:
            asked.state = asked.state or (len(self.messages), self.rev, self.cleared)
        elif not asked.answered:
            asked.pages.append(self.page(asked))

    def page(self, asked: Asked) -> RoomSyncView:
        """The next page of what has changed since the feed's cursor, or the last page's."""
        after = int(asked.pages[-1].cursor.split(":")[1]) if asked.pages else asked.feed.rev
        changed = sorted((view for view in self.standing if view.rev > after), key=lambda view: view.rev)[:PAGE]
        reached = changed[-1].rev if len(changed) == PAGE else self.rev
        return RoomSyncView(
            epoch="0", seq=len(self.messages), rev=self.rev, cursor=f"0:{reached}", reset=False,
            has_more=reached < self.rev, messages=changed, cleared_seq=self.cleared,
        )  # fmt: skip

    @precondition(lambda self: any(asked.answered for asked in self.asked))
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        self.settle(data.draw(st.sampled_from([asked for asked in self.asked if asked.answered])))

    def settle(self, asked: Asked) -> None:
        """The answer has arrived."""
        self.asked.remove(asked)
        if asked.client is None:
            self.fanout._healed(asked.feed, asked.pages)
        elif asked.client in self.clients and asked.state is not None:
            seq, rev, cleared = asked.state
            frames = asked.feed.start(asked.client.connection, "0", seq, rev, cleared)
            if frames is None:
                self.asked.append(Asked(asked.feed, asked.client))
                return
            asked.client.connection.out += frames
            asked.client.tell(seq, rev, cleared)
            if asked.feed.behind:
                self.fanout.heal(asked.feed)

    @rule()
    def begin_healing(self) -> None:
        under_way = [asked.feed for asked in self.asked if asked.client is None]
        if under_way:
            return  # one loop heals, one round after the other
        for feed in self.fanout._next():
            feed.ahead = feed.rev
            self.asked.append(Asked(feed))

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def every_client_sees_each_message_once_and_in_order(self) -> None:
        for client in self.clients:
            client.read(len(self.messages), self.rev, self.cleared)
            if client.told is not None:
                # In order and without a gap, but for what was cleared before it could be shown.
                skipped = set(range(client.told[0] + 1, client.cleared + 1)) - set(client.created)
                assert sorted({*client.created, *skipped}) == list(
                    range(client.told[0] + 1, client.told[0] + 1 + len(client.created) + len(skipped))
                )
                assert client.created == sorted(set(client.created))

    @invariant()
    def a_cursor_never_claims_what_was_not_shown(self) -> None:
        for client in self.clients:
            if client.told is not None:
                for view in self.standing:
                    if client.told[1] < view.rev <= client.cursor:
                        assert client.latest.get(view.seq) == view.rev
                assert all(seq <= client.cleared for rev, seq in self.clearings if rev <= client.cursor)

    @override
    def teardown(self) -> None:
        """Let everything settle: after the link's last restoration nobody may lack anything."""
        self.lose_the_link()
        for _ in range(100):
            self.begin_healing()
            while self.asked:
                for asked in list(self.asked):
                    while not asked.answered:
                        if asked.client is not None:
                            asked.state = (len(self.messages), self.rev, self.cleared)
                        else:
                            asked.pages.append(self.page(asked))
                    self.settle(asked)
            if not self.fanout._next():
                break
        self.every_client_sees_each_message_once_and_in_order()
        for client in self.clients:
            assert client.told is not None
            assert client.cleared == self.cleared
            for view in self.standing:
                if view.rev > client.told[1]:
                    assert client.latest.get(view.seq) == view.rev


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
