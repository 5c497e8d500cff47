"""Question answering over research-paper abstracts."""
