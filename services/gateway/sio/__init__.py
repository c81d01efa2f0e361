"""Socket.IO: python-socketio serves the sessions, and what is frequent takes the gateway's own path."""
