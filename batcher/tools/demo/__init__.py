"""The demo: real events through the real handler into a real S3 server, with all claims checked."""
