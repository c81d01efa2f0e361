"""Documents of dialects, made from their rows: OpenAPI, AsyncAPI, a page of tables."""
