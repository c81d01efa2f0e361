"""The media service: will own uploaded bytes. Today it starts, reports ready and owns nothing."""
