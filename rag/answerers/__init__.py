"""What writes an answer from retrieved papers: extractively, from a paper's record, or with a language model."""

from rag.answerers.base import Answerer, Draft, Request

__all__ = ["Answerer", "Draft", "Request"]
