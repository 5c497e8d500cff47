"""The transformer on the question side: computed as the textbook says, small, and felt by questions only."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from rag.embeddings import StaticTextEncoder, builtin_encoder
from rag.encoder import StaticEncoder
from rag.encoder.context import MODEL_FILE, TOKENIZER_FILE, ContextEncoder
from rag.encoder.static import SHIPPED_WEIGHTS, WEIGHT_FILES
from rag.encoder.train_context import rare_tokens
from rag.encoder.train_corpus import TrainingPaper

WORDS = ("[UNK]", "[CLS]", "[SEP]", "whales", "sing", "in", "winter")
SIZE, WIDE, LAYERS, POSITIONS, HEADS = 64, 96, 2, 8, 2


def made_up() -> tuple[Tokenizer, dict[str, np.ndarray]]:
    """A tokenizer of seven words and random weights in the form of the shipped ones."""
    tokenizer = Tokenizer(WordPiece({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(lowercase=True), BertPreTokenizer()
    draw = np.random.default_rng(0)

    def scaled(name: str, rows: int, columns: int) -> dict[str, np.ndarray]:
        return {
            name: draw.integers(-127, 128, (rows, columns)).astype(np.int8),
            f"{name}.scale": draw.uniform(0.001, 0.003, rows).astype(np.float32),
        }

    def pair() -> np.ndarray:
        return np.stack((draw.normal(1, 0.1, SIZE), draw.normal(0, 0.1, SIZE))).astype(np.float32)

    tensors = scaled("words", len(WORDS), SIZE) | {"first": pair()}
    tensors["rare"] = np.array([word in ("whales", "winter") for word in WORDS], dtype=np.uint8)
    tensors["positions"] = draw.normal(0, 0.1, (POSITIONS, SIZE)).astype(np.float32)
    for at in range(LAYERS):
        for name, rows, columns in (
            ("attend", 3 * SIZE, SIZE),
            ("merge", SIZE, SIZE),
            ("widen", WIDE, SIZE),
            ("narrow", SIZE, WIDE),
        ):
            tensors |= scaled(f"{at}.{name}", rows, columns)
            tensors[f"{at}.{name}.bias"] = draw.normal(0, 0.1, rows).astype(np.float32)
        tensors |= {f"{at}.attended": pair(), f"{at}.done": pair()}
    return tokenizer, tensors


def outputs(ids: list[int], tensors: dict[str, np.ndarray]) -> np.ndarray:
    """The same network one token and one head at a time, in float64: (tokens, SIZE)."""

    def whole(name: str) -> np.ndarray:
        return tensors[name].astype(float) * tensors[f"{name}.scale"].astype(float)[:, None]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        weight, bias = tensors[name].astype(float)
        return (x - x.mean()) / math.sqrt(x.var() + 1e-12) * weight + bias

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return whole(name) @ x + tensors[f"{name}.bias"]

    def gelu(x: float) -> float:
        return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    states = [norm(whole("words")[one] + tensors["positions"][at], "first") for at, one in enumerate(ids)]
    for layer in range(LAYERS):
        parts = [linear(state, f"{layer}.attend").reshape(3, HEADS, -1) for state in states]
        after = []
        for state, (query, _, _) in zip(states, parts, strict=True):
            mixed = []
            for head in range(HEADS):
                scores = [query[head] @ key[head] / math.sqrt(SIZE // HEADS) for _, key, _ in parts]
                shares = np.exp(scores) / np.exp(scores).sum()
                mixed.append(sum(share * value[head] for share, (_, _, value) in zip(shares, parts, strict=True)))
            attended = norm(state + linear(np.concatenate(mixed), f"{layer}.merge"), f"{layer}.attended")
            wide = np.array([gelu(x) for x in linear(attended, f"{layer}.widen")])
            after.append(norm(attended + linear(wide, f"{layer}.narrow"), f"{layer}.done"))
        states = after
    return np.array(states)


def textbook(ids: list[int], tensors: dict[str, np.ndarray]) -> np.ndarray:
    mean = outputs(ids, tensors).mean(axis=0)
    return mean / np.linalg.norm(mean)


@pytest.fixture(scope="module")
def context() -> ContextEncoder:
    found = ContextEncoder.load(SHIPPED_WEIGHTS)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def encoder() -> StaticTextEncoder:
    return builtin_encoder()


def test_the_network_is_the_textbooks():
    tokenizer, tensors = made_up()
    found = ContextEncoder(tokenizer, tensors).encode(["Whales sing in winter", "sing?"])
    np.testing.assert_allclose(found[0], textbook([1, 3, 4, 5, 6, 2], tensors), atol=1e-5)
    np.testing.assert_allclose(found[1], textbook([1, 4, 0, 2], tensors), atol=1e-5)


def test_a_text_longer_than_the_positions_is_cut():
    tokenizer, tensors = made_up()
    made = ContextEncoder(tokenizer, tensors)
    assert made.longest == POSITIONS
    found = made.encode(["whales sing in winter " * 10])
    np.testing.assert_allclose(found[0], textbook([1, 3, 4, 5, 6, 3, 4, 2], tensors), atol=1e-5)


def test_each_token_of_a_question_is_matched_with_the_nearest_token_of_any_text():
    tokenizer, tensors = made_up()
    found = ContextEncoder(tokenizer, tensors).matched("Whales sing", ["in winter", "", "sing in whales"])
    asked, *told = (outputs(ids, tensors)[1:-1] for ids in ([1, 3, 4, 2], [1, 5, 6, 2], [1, 4, 5, 3, 2]))
    unit, others = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (asked, np.concatenate(told)))
    np.testing.assert_allclose(found, (unit @ others.T).max(axis=1), atol=1e-5)


@pytest.mark.parametrize(
    ("question", "texts", "found"),
    [
        ("", ["sing"], []),
        ("sing", [], [0]),
        ("sing in", ["", " "], [0, 0]),
        ("sing", ["sing"], [1]),
        ("[CLS]", ["[SEP]"], None),
    ],
)
def test_what_has_no_words_is_matched_by_nothing(question, texts, found):
    tokenizer, tensors = made_up()
    matched = ContextEncoder(tokenizer, tensors).matched(question, texts)
    assert matched.dtype == np.float32
    assert np.isfinite(matched).all()
    if found is not None:
        np.testing.assert_allclose(matched, found, atol=1e-5)


def test_rare_tokens_are_counted_among_those_that_are_read():
    tokenizer, tensors = made_up()
    made = ContextEncoder(tokenizer, tensors)
    texts = ["whales sing in winter", "sing sing", "", "whales sing in winter " * 10]
    np.testing.assert_allclose(made.rare_share(texts), [1 / 2, 0, 0, 3 / 6])
    np.testing.assert_allclose(made.rare_share(texts, longest=5), [1 / 3, 0, 0, 1 / 3], rtol=1e-6)
    del tensors["rare"]
    assert not ContextEncoder(tokenizer, tensors).rare_share(texts).any()


def test_a_token_is_rare_that_fewer_than_one_in_a_thousand_training_papers_hold():
    tokenizer, _ = made_up()
    papers = [TrainingPaper(str(at), "They sing", "sing in " + "whales " * (at < 3), ()) for at in range(3000)]
    found = rare_tokens(tokenizer.to_str(), papers)
    rare = {word for word in WORDS if found[tokenizer.token_to_id(word)]}
    assert rare == {"[CLS]", "[SEP]", "winter"}
    assert rare_tokens(tokenizer.to_str(), papers[1:])[tokenizer.token_to_id("whales")]


def test_words_of_other_fields_are_rarer(context: ContextEncoder):
    texts = ["training of deep neural networks", "hepatitis vaccines in kidney transplants"]
    ours, medical = context.rare_share(texts)
    assert ours == 0
    assert medical > 0.5


def test_weights_and_tokenizer_of_different_sizes_are_refused():
    tokenizer, tensors = made_up()
    tokenizer.add_tokens(["gulls"])
    with pytest.raises(ValueError, match="do not belong together"):
        ContextEncoder(tokenizer, tensors)


def test_vectors_are_float32_of_length_one_and_zero_without_words(context: ContextEncoder):
    found = context.encode(["graph neural networks", "", " \n", "数学"])
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1)[[0, 3]], 1.0, atol=1e-5)
    assert not found[1:3].any()
    assert context.encode([]).shape == (0, 384)


def test_a_text_has_the_same_vector_in_any_company(context: ContextEncoder):
    texts = [f"how does {word} work in {number} layers" for word in ("attention", "dropout") for number in range(200)]
    alone = np.concatenate([context.encode([text]) for text in texts[::79]])
    np.testing.assert_allclose(context.encode(texts)[::79], alone, atol=1e-5)


def test_word_order_matters_to_a_question_and_not_to_its_words(encoder: StaticTextEncoder):
    texts = ["does BERT beat an LSTM at parsing", "does an LSTM beat BERT at parsing"]
    words, whole = encoder.words.encode(texts, side="query"), encoder.encode(texts, side="query")
    assert float(words[0] @ words[1]) > 0.9999
    assert float(whole[0] @ whole[1]) < 0.999


def test_a_question_is_the_scaled_sum_and_a_passage_is_what_it_was(encoder: StaticTextEncoder, context: ContextEncoder):
    texts = ["What makes training of deep networks unstable?"]
    total = encoder.words.encode(texts, side="query") + context.encode(texts)
    expected = total / np.linalg.norm(total)
    np.testing.assert_allclose(encoder.encode(texts, side="query"), expected, atol=1e-6)
    np.testing.assert_array_equal(encoder.encode(texts), encoder.words.encode(texts))
    assert encoder.fingerprint == encoder.words.fingerprint == StaticEncoder.load().fingerprint
    assert not encoder.encode(["", "?!"], side="query").any()


def test_a_folder_has_both_files_or_neither(tmp_path: Path):
    for name in WEIGHT_FILES:
        shutil.copy(SHIPPED_WEIGHTS / name, tmp_path)
    plain = StaticTextEncoder(StaticEncoder.load(tmp_path), "plain", tmp_path)
    texts = ["what is attention"]
    np.testing.assert_array_equal(plain.encode(texts, side="query"), plain.words.encode(texts, side="query"))
    shutil.copy(SHIPPED_WEIGHTS / TOKENIZER_FILE, tmp_path)
    with pytest.raises(FileNotFoundError, match=MODEL_FILE):
        ContextEncoder.load(tmp_path)
