"""The messages service: the single writer of every room's timeline (messages, order, receipts)."""
