"""The Docker side: read-only, event-driven, and always ready to read the truth again."""
