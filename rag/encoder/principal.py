"""Shorter vectors: those of an encoder turned to the principal components of its passages (Hotelling 1933), and cut."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

PRINCIPAL_FILE = "principal.safetensors"


@dataclass(frozen=True, slots=True)
class Shortening:
    """From vectors of D numbers to unit vectors of fewer."""

    basis: Floats
    """(D, dimensions), orthonormal columns, the one along which passages differ most first."""
    fingerprint: str
    """SHA-256 (hex) of the file and the number of dimensions."""

    @classmethod
    def load(cls, folder: Path, dimensions: int) -> Shortening:
        """The first `dimensions` components from an encoder's folder.

        Raises FileNotFoundError where none were fitted, ValueError where there are not so many.
        """
        from safetensors.numpy import load

        path = folder / PRINCIPAL_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"no {PRINCIPAL_FILE} in {folder}: make it by python -m rag.encoder.train_principal"
            )
        content = path.read_bytes()
        basis = load(content)["basis"].astype(np.float32)
        if dimensions > basis.shape[1]:
            raise ValueError(f"{dimensions} dimensions are more than the {basis.shape[1]} of the encoder in {folder}")
        digest = hashlib.sha256(content + f"\n{dimensions}".encode()).hexdigest()
        return cls(np.ascontiguousarray(basis[:, :dimensions]), digest)

    def shortened(self, vectors: Floats) -> Floats:
        """Vectors (n, D) as unit vectors (n, dimensions); zero stays zero."""
        short = vectors @ self.basis
        lengths = np.linalg.norm(short, axis=1, keepdims=True)
        return np.divide(short, lengths, out=np.zeros_like(short), where=lengths > 0)


def fitted(vectors: Floats) -> Floats:
    """All components of passage vectors (n, D), the strongest first: float32 (D, D).

    Not centred: a cosine is about the origin. The largest number of each component is positive, so that the same
    vectors always give the same basis.
    """
    _, found = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors.astype(np.float64))
    basis = found[:, ::-1]
    signs = np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])])
    return (basis * signs).astype(np.float32)
