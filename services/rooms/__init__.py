"""The rooms service: rooms, memberships and the people directory; answers who may enter where."""
