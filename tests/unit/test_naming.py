"""Feeds remember which message is where, a bounded number of them."""

from services.gateway.feeds import MAX_NAMED, Feed


def test_the_latest_are_remembered() -> None:
    """What has been remembered longest goes first."""
    feed = Feed("room", "home")
    for seq in range(MAX_NAMED + 5):
        feed.name(seq, f"m{seq}")
    assert list(feed.names) == list(range(5, MAX_NAMED + 5))
    feed.name(1, "m1")
    assert len(feed.names) == MAX_NAMED
    assert (feed.names[1], 5 in feed.names) == ("m1", False)


def test_a_new_epoch_has_other_messages() -> None:
    """Nothing is named by what was there before."""
    feed = Feed("room", "home")
    feed.name(1, "m1")
    feed.reset("e2", 0, 0)
    assert feed.names == {}
