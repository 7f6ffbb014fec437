"""An S3 server that checks signatures, for tests and for trying s3:// models."""
