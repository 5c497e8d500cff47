"""The chat page, on rag's public API only."""
