"""Where bytes are kept: one small interface, and one module per kind of store."""
