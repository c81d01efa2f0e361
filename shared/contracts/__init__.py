"""The one definition of every command, query, event, reply and error. Imports pydantic and the standard library only."""
