"""What tests of the running stack share: real processes, real sockets, the real broker; nothing pretends."""
