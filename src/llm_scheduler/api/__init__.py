"""HTTP in: who is calling, is the request well-formed, which use case."""
