"""Train the transformer beside the token vectors: python -m rag.encoder.train_context PAPERS.jsonl[.gz] --out DIR.

DIR is the folder that `rag.encoder.train` wrote, or an empty one. A student with four of the teacher's six layers
learns to give the teacher's vectors for titles, for sentences put as questions, for whole abstracts, and for titles and
abstracts with other words in them (distillation: Hinton et al. 2015; of hidden states too: Jiao et al. 2020,
TinyBERT). Needs the extra `train`.
Interrupted runs go on where they stopped when the same command is given again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.encoder.context import MODEL_FILE, TOKENIZER_FILE
from rag.encoder.train import HELD_OUT, SAVE_SECONDS, TrainingPlan, read_split, write_bytes, write_text
from rag.encoder.train_corpus import TrainingPaper, ids_hash
from rag.encoder.train_pairs import SENTENCE_END
from rag.errors import CitewiseError, MissingExtra

LAYERS = (0, 3, 4, 5)
"""The teacher's layers that the student starts from. Of three, 0, 4, 5 learned more than 0, 2, 5 in the same time."""
POSITIONS = 128
"""Tokens of a text that the student looks at, with the two at its ends."""
RARE = 0.001
"""The share of training papers below which a token counts as rare."""
_SHORT, _LONG = 36, 64
_PART = 12
_COUNTED = 4096
_END_TOKEN = 102
_TEMPLATES = (
    "how {}|how can {}|how does {} work|what is {}|what are {}|which papers {}|which paper introduces {}|papers on {}"
    "|why {}|why does {}|is there work on {}|is it possible to {}|how do people handle {}|what is known about {}"
    "|does {}|can {}|explain {}|{} survey|methods for {}|who proposed {}|tell me about {}|what happens when {}"
    "|what helps with {}|{}?"
).split("|")
_OPENING = re.compile(
    r"^(in this (paper|work|study),? )?(we|this paper|this work|our \w+) (\w+ly )?(propose|present|introduce|show|study"
    r"|demonstrate|develop|find|investigate|prove|consider|describe|address|explore|analyze|provide)s?"
    r" (that |how |an? |the )?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class DistillOptions:
    """How the student is taught. Weights are those of the parts of the loss: the text's vector (1 - cosine), each
    token's last state, and each token's state before the last layer (squared errors relative to the teacher's). A step
    takes `batch` short texts and `abstracts` long ones, of which `whole` are cut late: most abstracts are encoded by
    their opening only."""

    steps: int = 2600
    batch: int = 96
    abstracts: int = 28
    whole: int = 4
    rate: float = 6e-4
    warm_up: int = 40
    vector_weight: float = 3.0
    last_weight: float = 1.0
    middle_weight: float = 0.5


class TextSampler:
    """Draws training texts: half titles, a quarter sentences put as questions, a quarter titles with words swapped; of
    the long ones, a quarter have words swapped and another quarter begin somewhere in the middle."""

    def __init__(self, papers: Sequence[TrainingPaper], words: Sequence[str], seed: int) -> None:
        self._papers = papers
        self._words = words
        self._random = random.Random(seed)  # noqa: S311 - nothing secret

    def draw(self, number: int) -> list[str]:
        """Texts for one step, in no order."""
        chosen = self._random.sample(self._papers, number)
        titles, asked, odd = chosen[: number // 2], chosen[number // 2 : number * 3 // 4], chosen[number * 3 // 4 :]
        return [
            *(paper.title for paper in titles),
            *(self.question(self._random.choice(SENTENCE_END.split(paper.abstract))[:300]) for paper in asked),
            *(self.strange(paper.title) for paper in odd),
        ]

    def draw_long(self, number: int) -> list[str]:
        """Titles with their abstracts for one step."""
        return [self.long(paper, kind % 4) for kind, paper in enumerate(self._random.sample(self._papers, number))]

    def long(self, paper: TrainingPaper, kind: int) -> str:
        """A paper as the index holds it (kinds 0 and 1), with words of any field (2), or from a sentence on (3)."""
        if kind == 3:
            parts = SENTENCE_END.split(paper.abstract)
            return " ".join(parts[self._random.randrange(len(parts)) :])
        text = f"{paper.title}\n{paper.abstract}"
        return self.strange(text) if kind == 2 else text

    def question(self, sentence: str) -> str:
        """A sentence as somebody might ask for it: its opening cut, words dropped, put into a question."""
        chance = self._random.random
        if chance() < 0.3:
            return sentence
        words = (_OPENING.sub("", sentence) if chance() < 0.6 else sentence).split()
        if chance() < 0.3 and len(words) > 6:
            size = self._random.randint(3, 10)
            start = self._random.randrange(max(1, len(words) - size))
            words = words[start : start + size]
        if chance() < 0.5:
            dropped = 0.5 * chance()
            words = [word for word in words if chance() > dropped] or words
        plain = " ".join(words).lower() if chance() < 0.6 else " ".join(words)
        return self._random.choice(_TEMPLATES).format(plain.rstrip(".")) if chance() < 0.4 else plain

    def strange(self, text: str) -> str:
        """A text with words of any field in it: the student must know more words than its corpus has."""
        return " ".join(
            self._random.choice(self._words) if len(word) > 3 and self._random.random() < 0.6 else word
            for word in text.split()
        )


class Student:
    """The student in PyTorch beside its teacher, and one step of learning."""

    def __init__(self, teacher: Any, options: DistillOptions) -> None:
        import copy

        import torch

        self._torch, self._options = torch, options
        self.teacher = teacher
        self.model: Any = copy.deepcopy(teacher.model)
        self.model.encoder.layer = torch.nn.ModuleList([self.model.encoder.layer[at] for at in LAYERS])
        self.model.pooler = None
        for layer in self.model.encoder.layer:
            layer.intermediate.intermediate_act_fn = torch.nn.GELU(approximate="tanh")
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        self.model.embeddings.word_embeddings.weight.requires_grad_(False)
        self.model.train()
        learned = [item for item in self.model.parameters() if item.requires_grad]
        self.optimizer = torch.optim.AdamW(learned, lr=options.rate, weight_decay=0.01, betas=(0.9, 0.98))
        self._learned = learned
        self.step = 0

    def learn(self, short: Sequence[str], long: Sequence[str]) -> float:
        """One step on these texts; its loss."""
        options = self._options
        left = max(0.02, 1 - self.step / options.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = options.rate * min(1.0, (self.step + 1) / options.warm_up) * left
        self.optimizer.zero_grad()
        total = 0.0
        whole, opening = long[: options.whole], long[options.whole :]
        ids = [*self._ids(short, _SHORT), *self._ids(opening, _LONG), *self._ids(whole, POSITIONS)]
        for part in _of_like_length(ids):
            loss = self._loss(part) * (len(part) / len(ids))
            loss.backward()
            total += float(loss.detach())
        self._torch.nn.utils.clip_grad_norm_(self._learned, 1.0)
        self.optimizer.step()
        self.step += 1
        return total

    def likeness(self, texts: Sequence[str]) -> float:
        """Mean cosine of the student's and the teacher's vectors of these texts."""
        with self._torch.no_grad():
            return 1 - float(self._parts(self._ids(texts, POSITIONS))[0])

    def save(self, path: Path) -> None:
        """Keep all that the next step depends on."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step}
        partial = path.with_suffix(".partial")
        self._torch.save(state, partial)
        os.replace(partial, path)

    def resume(self, path: Path) -> None:
        """Go on from what `save` kept."""
        state = self._torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])

    def _ids(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        found = [one.ids for one in self.teacher.tokenizer.encode_batch(list(texts))]
        return [ids if len(ids) <= longest else [*ids[: longest - 1], _END_TOKEN] for ids in found]

    def _loss(self, ids: Sequence[Sequence[int]]) -> Any:
        vector, last, middle = self._parts(ids)
        options = self._options
        return options.vector_weight * vector + options.last_weight * last + options.middle_weight * middle

    def _parts(self, ids: Sequence[Sequence[int]]) -> tuple[Any, Any, Any]:
        torch = self._torch
        rows = [torch.tensor(one) for one in ids]
        padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        kept = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True).bool()
        asked = {"input_ids": padded, "attention_mask": kept.long(), "output_hidden_states": True}
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                theirs = self.teacher.model(**asked).hidden_states
            ours = self.model(**asked).hidden_states
        counted = kept[:, :, None].float()

        def pooled(states: Any) -> Any:
            mean = (states.float() * counted).sum(1) / counted.sum(1)
            return torch.nn.functional.normalize(mean, dim=1)

        def error(mine: Any, wanted: Any) -> Any:
            one, other = mine.float()[kept], wanted.float()[kept]
            return ((one - other).square().sum(1) / other.square().sum(1)).mean()

        vector = (1 - (pooled(ours[-1]) * pooled(theirs[-1])).sum(1)).mean()
        return vector, error(ours[-1], theirs[-1]), error(ours[-2], theirs[LAYERS[-1]])


def _of_like_length(ids: Sequence[list[int]]) -> Iterator[list[list[int]]]:
    """All of them in parts that a matrix product takes at once, with little padding."""
    part: list[list[int]] = []
    for one in sorted(ids, key=len):
        if len(part) >= _PART and len(one) > 1.1 * len(part[0]):
            yield part
            part = []
        part.append(one)
    yield part


def run(plan: TrainingPlan, options: DistillOptions) -> None:
    """Train and write context.safetensors, context_tokenizer.json and context_training.json to the plan's folder."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "train") from error
    from rag.encoder.train_teacher import Teacher

    plan.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(plan.seed)
    found = read_split(plan)
    order = np.random.default_rng(plan.seed).permutation(len(found.papers))
    held_out = [found.papers[at] for at in order[:HELD_OUT][:300]]
    titles, abstracts = [paper.title for paper in held_out], [paper.abstract for paper in held_out]
    student = Student(Teacher(fast=True), options)
    key = ids_hash([*(paper.id for paper in found.papers), f"seed {plan.seed} {options}"])[:16]
    checkpoint = plan.work / f"context-{key}.pt"
    if checkpoint.exists():
        student.resume(checkpoint)
    papers = [found.papers[at] for at in order[HELD_OUT:]]
    known = student.teacher.tokenizer.get_vocab()
    words = sorted(word for word in known if word.isalpha() and word.isascii() and len(word) > 2)
    _train(student, TextSampler(papers, words, plan.seed + student.step), options, checkpoint, titles)
    tensors, tokenizer = exported(student)
    tensors["rare"] = rare_tokens(tokenizer, found.papers)
    from safetensors.numpy import save

    write_bytes(plan.out / MODEL_FILE, save(tensors))
    write_bytes(plan.out / TOKENIZER_FILE, tokenizer.encode())
    told = {
        "cosine to the teacher, titles held out": round(student.likeness(titles), 4),
        "cosine to the teacher, abstracts held out": round(student.likeness(abstracts), 4),
    }
    recipe = {"seed": plan.seed, "layers": LAYERS, "options": asdict(options), "rare_below": RARE}
    write_text(plan.out / "context_training.json", {**found.manifest(), **recipe, "held_out": told})


def _train(
    student: Student, sampler: TextSampler, options: DistillOptions, checkpoint: Path, held_out: Sequence[str]
) -> None:
    import time

    from rich.progress import Progress

    saved = time.monotonic()
    with Progress() as progress:
        bar = progress.add_task("training", total=options.steps, completed=student.step)
        while student.step < options.steps:
            loss = student.learn(sampler.draw(options.batch), sampler.draw_long(options.abstracts))
            progress.update(bar, completed=student.step, description=f"step {student.step}, loss {loss:.3f}")
            if time.monotonic() - saved > SAVE_SECONDS or student.step == options.steps:
                saved = time.monotonic()
                student.save(checkpoint)
                progress.console.log(f"step {student.step}, cosine to the teacher {student.likeness(held_out):.4f}")


def exported(student: Student) -> tuple[dict[str, NDArray[Any]], str]:
    """The tensors that `ContextEncoder` reads, and its tokenizer as JSON: without the tokens of other scripts, which
    stand for nothing in the abstracts of a field written in English."""
    weights = {name: value.float().numpy() for name, value in student.model.state_dict().items()}
    by_id = sorted(student.teacher.tokenizer.get_vocab().items(), key=lambda item: item[1])
    kept = [(word, at) for word, at in by_id if _worth(word)]
    words = weights["embeddings.word_embeddings.weight"][[at for _, at in kept]]
    positions = weights["embeddings.position_embeddings.weight"][:POSITIONS]
    tensors: dict[str, NDArray[Any]] = {
        **_as_int8("words", words),
        "positions": positions + weights["embeddings.token_type_embeddings.weight"][0],
        "first": _norm(weights, "embeddings.LayerNorm"),
    }
    for at in range(len(LAYERS)):
        tensors |= dict(_layer(weights, at))
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}, _tokenizer(kept)


def rare_tokens(tokenizer: str, papers: Sequence[TrainingPaper]) -> NDArray[np.uint8]:
    """Which tokens of a tokenizer (JSON) fewer than `RARE` of the papers hold: uint8 (T,), 1 for those."""
    from tokenizers import Tokenizer

    reader = Tokenizer.from_str(tokenizer)
    held = np.zeros(reader.get_vocab_size(), dtype=np.int64)
    for start in range(0, len(papers), _COUNTED):
        texts = [f"{paper.title}\n{paper.abstract}" for paper in papers[start : start + _COUNTED]]
        for found in reader.encode_batch_fast(texts, add_special_tokens=False):
            held[np.unique(found.ids)] += 1
    return (held < RARE * len(papers)).astype(np.uint8)


def _layer(weights: dict[str, NDArray[Any]], at: int) -> Iterator[tuple[str, NDArray[Any]]]:
    place = f"encoder.layer.{at}."
    own = [f"{place}attention.self.{name}" for name in ("query", "key", "value")]
    parts = {
        "attend": own,
        "merge": [f"{place}attention.output.dense"],
        "widen": [f"{place}intermediate.dense"],
        "narrow": [f"{place}output.dense"],
    }
    for name, sources in parts.items():
        yield from _as_int8(f"{at}.{name}", np.concatenate([weights[f"{one}.weight"] for one in sources])).items()
        yield f"{at}.{name}.bias", np.concatenate([weights[f"{one}.bias"] for one in sources])
    yield f"{at}.attended", _norm(weights, f"{place}attention.output.LayerNorm")
    yield f"{at}.done", _norm(weights, f"{place}output.LayerNorm")


def _norm(weights: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    return np.stack((weights[f"{name}.weight"], weights[f"{name}.bias"]))


def _as_int8(name: str, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
    largest = np.abs(rows).max(axis=1)
    scale = (np.where(largest > 0, largest, 127.0) / 127).astype(np.float32)
    return {name: np.rint(rows / scale[:, None]).astype(np.int8), f"{name}.scale": scale}


def _worth(word: str) -> bool:
    """Latin and Greek pieces, and the three marks that a text needs."""
    latin = all(ord(letter) < 128 or 0x370 <= ord(letter) < 0x400 for letter in word)
    return word in ("[UNK]", "[CLS]", "[SEP]") or (latin and not re.match(r"\[\w", word))


def _tokenizer(kept: Sequence[tuple[str, int]]) -> str:
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    made: Any = Tokenizer(WordPiece({word: at for at, (word, _) in enumerate(kept)}, unk_token="[UNK]"))  # noqa: S106
    made.normalizer = BertNormalizer(lowercase=True)
    made.pre_tokenizer = BertPreTokenizer()
    return json.dumps(json.loads(made.to_str()), ensure_ascii=False, separators=(",", ":"))


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 when the weights are written, else the error's exit code with one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m rag.encoder.train_context", description=__doc__.split("\n")[0])
    parser.add_argument("papers", type=Path, help="JSON Lines, optionally .gz, with id, title and abstract")
    parser.add_argument("--out", type=Path, required=True, help="folder of the encoder; made when missing")
    parser.add_argument("--steps", type=int, default=DistillOptions().steps, help="some 1.3 s each on two cores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exclude-texts", type=Path, nargs="*", default=[], help="papers found in these stay out")
    parser.add_argument("--exclude-ids", type=Path, nargs="*", default=[], help='question files: "relevant" stays out')
    given = vars(parser.parse_args(arguments))
    try:
        options = DistillOptions(steps=given.pop("steps"))
        run(TrainingPlan(**given), options)
    except CitewiseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
