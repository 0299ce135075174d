"""Records in columns: chunks, payloads and bad records."""
