"""The one definition of every command, query, event, reply and error. Imports only pydantic beside itself."""
