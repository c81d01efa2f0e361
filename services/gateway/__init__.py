"""The gateway: holds client connections, turns frames into commands and events into frames. Owns no data."""
