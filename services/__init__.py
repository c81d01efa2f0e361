"""The four services. Each is a process; none imports another: they meet only on the bus (shared.bus)."""
