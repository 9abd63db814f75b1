"""Any OpenAI-compatible HTTP server as a backend of llem."""
