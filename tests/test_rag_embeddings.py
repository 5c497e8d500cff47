"""Encoders: the built-in one, a server that speaks OpenAI's protocol, LlamaIndex classes, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from rag.embeddings import as_llama_embedding, load_encoder
from rag.errors import LibraryMismatch, ModelRejected, ModelUnavailable, SettingsError
from rag.settings import EmbeddingSettings
from rag.tokens import count_tokens
from tests.embedding_server import EmbeddingServer

KEY = "sk-secret-123456"


@pytest.fixture(scope="module")
def builtin():
    return load_encoder(EmbeddingSettings())


@pytest.fixture
def server(socket_enabled, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    serving = EmbeddingServer()
    yield serving
    serving.close()


def encoder_for(server, **more):
    options = {"max_retries": 0, **more.pop("options", {})}
    return load_encoder(
        EmbeddingSettings(kind="openai-like", model="letters", base_url=server.url, options=options, **more)
    )


def test_builtin_encoder_has_a_name_and_unit_rows(builtin):
    assert builtin.name == "builtin-fast"
    vectors = builtin.encode(["whales sing in deep water", ""], side="passage")
    assert vectors.shape == (2, builtin.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0], atol=1e-5)


def test_a_folder_without_an_encoder_is_a_settings_error(tmp_path):
    with pytest.raises(SettingsError, match="missing"):
        load_encoder(EmbeddingSettings(kind="path", path=tmp_path))
    with pytest.raises(SettingsError, match=r"embedding\.path"):
        load_encoder(EmbeddingSettings(kind="path"))


def test_a_copied_encoder_folder_gives_the_same_vectors(builtin, tmp_path):
    import shutil

    from rag.encoder.static import SHIPPED_WEIGHTS

    shutil.copytree(SHIPPED_WEIGHTS, tmp_path / "mine")
    copied = load_encoder(EmbeddingSettings(kind="path", path=tmp_path / "mine"))
    assert (copied.name, copied.fingerprint) == ("path:mine", builtin.fingerprint)
    np.testing.assert_array_equal(copied.encode(["whales"]), builtin.encode(["whales"]))


@pytest.mark.loopback
def test_server_vectors_are_unit_rows_in_order(server):
    encoder = encoder_for(server)
    vectors = encoder.encode(["aab", "zzz", " ", "b\na"])
    assert vectors.shape == (4, 26)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0, 1], atol=1e-6)
    assert vectors[0, 0] == pytest.approx(2 / 5**0.5)
    np.testing.assert_allclose(encoder.encode(["zzz"], side="query")[0], vectors[1])
    assert encoder.encode([]).shape == (0, 26)
    assert all(request["path"] == "/v1/embeddings" and request["model"] == "letters" for request in server.requests)
    assert all(key == f"Bearer {KEY}" for key in server.keys)
    assert not any(text.strip() == "" for request in server.requests for text in request["input"])


@pytest.mark.loopback
def test_texts_are_sent_in_batches_of_bounded_size(server):
    encoder = encoder_for(server, batch_size=3, options={"dimensions": 26})
    encoder.encode([f"text {n}" for n in range(8)])
    assert [len(request["input"]) for request in server.requests] == [3, 3, 2]
    server.requests.clear()
    encoder = encoder_for(server, options={"dimensions": 26})
    encoder_for(server, batch_size=9999, options={"dimensions": 26}).encode([f"text {n}" for n in range(2100)])
    assert [len(request["input"]) for request in server.requests] == [2048, 52]
    server.requests.clear()
    encoder.encode([f"{at} {'論' * 8000}" for at in range(30)])
    sizes = [sum(count_tokens(text) for text in request["input"]) for request in server.requests]
    assert len(sizes) > 1
    assert max(sizes) <= 300_000
    assert max(count_tokens(text) for request in server.requests for text in request["input"]) <= 8191


@pytest.mark.loopback
def test_nothing_is_sent_before_a_vector_is_asked_for(server):
    encoder = encoder_for(server)
    assert server.requests == []
    assert encoder.dimension == 26
    assert len(server.requests) == 1
    assert encoder.fingerprint == encoder.fingerprint
    assert len(server.requests) == 1


@pytest.mark.loopback
def test_base_url_is_taken_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    encoder = load_encoder(EmbeddingSettings(kind="openai", model="letters", options={"max_retries": 0}))
    assert encoder.encode(["a"]).shape == (1, 26)


@pytest.mark.loopback
def test_fingerprint_tells_models_servers_and_dimensions_apart(server):
    plain = {"dimensions": 26}
    one = encoder_for(server, options=plain).fingerprint
    assert encoder_for(server, options=plain, batch_size=7).fingerprint == one
    others = [
        load_encoder(EmbeddingSettings(kind="openai-like", model=model, base_url=url, options={"dimensions": size}))
        for model, url, size in [
            ("numbers", server.url, 26),
            ("letters", "http://localhost:1/v1", 26),
            ("letters", server.url, 13),
        ]
    ]
    assert len({one, *(other.fingerprint for other in others)}) == 4
    assert server.requests == []


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("status", "said", "error", "message"),
    [
        (401, f"Incorrect API key provided: {KEY}", ModelRejected, "OPENAI_API_KEY"),
        (403, "no", ModelRejected, "OPENAI_API_KEY"),
        (404, "The model does not exist", ModelRejected, "letters"),
        (400, f"too long, {KEY}", ModelRejected, "too long"),
        (429, "You exceeded your current quota", ModelRejected, "quota"),
        (429, "slow down", ModelUnavailable, "slow down"),
        (500, "oops\nagain", ModelUnavailable, "oops again"),
    ],
)
def test_errors_of_the_server_are_one_line_without_the_key(server, status, said, error, message):
    server.fail_with = (status, said)
    with pytest.raises(error, match=message) as raised:
        encoder_for(server, retries=0).encode(["a"])
    assert KEY not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.loopback
def test_a_server_that_is_not_there_is_unavailable(server):
    server.close()
    with pytest.raises(ModelUnavailable, match="letters"):
        encoder_for(server, retries=0).encode(["a"])
    server.__init__()


@pytest.mark.loopback
def test_vectors_of_unexpected_size_are_rejected(server):
    encoder = encoder_for(server, options={"dimensions": 26})
    server.dimension = 13
    with pytest.raises(LibraryMismatch, match="13 numbers"):
        encoder.encode(["a"])


def test_openai_without_a_key_says_so_when_used(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    encoder = load_encoder(EmbeddingSettings(kind="openai"))
    assert encoder.dimension == 1536
    with pytest.raises(ModelRejected, match="OPENAI_API_KEY"):
        encoder.encode(["a"])


def test_openai_like_needs_an_address(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(SettingsError, match="base_url"):
        load_encoder(EmbeddingSettings(kind="openai-like"))


@pytest.mark.parametrize("told", [None, "soon"])
def test_a_timeout_that_is_no_number_is_an_error_of_the_settings(told):
    settings = EmbeddingSettings(kind="openai-like", base_url="http://127.0.0.1:9/v1", options={"timeout": told})
    with pytest.raises(SettingsError, match=r"embedding\.options\.timeout"):
        load_encoder(settings)


def test_any_llama_index_embedding_class_is_an_encoder():
    settings = EmbeddingSettings(
        kind="llamaindex", target="llama_index.core.embeddings.MockEmbedding", options={"embed_dim": 4}
    )
    encoder = load_encoder(settings)
    np.testing.assert_allclose(encoder.encode(["a", "b"]), np.full((2, 4), 0.5))
    np.testing.assert_allclose(encoder.encode(["a"], side="query"), np.full((1, 4), 0.5))
    assert encoder.dimension == 4


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("nosuch", {}),
        ("no.such.Class", {}),
        ("llama_index.core.embeddings.NoSuch", {}),
        ("llama_index.core.embeddings.MockEmbedding", {"wrong": object}),
        ("json.JSONDecoder", {}),
    ],
)
def test_a_wrong_target_is_a_settings_error(target, options):
    with pytest.raises(SettingsError, match=r"embedding\.target"):
        load_encoder(EmbeddingSettings(kind="llamaindex", target=target, options=options)).encode(["a"])


def test_an_encoder_is_a_llama_index_embedding_with_both_sides(builtin):
    embedding = as_llama_embedding(builtin)
    text = "whales sing in deep water"
    np.testing.assert_allclose(embedding.get_text_embedding(text), builtin.encode([text])[0], atol=1e-6)
    np.testing.assert_allclose(embedding.get_query_embedding(text), builtin.encode([text], side="query")[0], atol=1e-6)
    batch = embedding.get_text_embedding_batch([text, "birds"])
    np.testing.assert_allclose(batch, builtin.encode([text, "birds"]), atol=1e-6)
    assert type(as_llama_embedding(builtin)) is type(embedding)
    assert embedding.model_name == "builtin-fast"


def test_an_encoder_serves_a_llama_index_retriever(builtin):
    from llama_index.core import VectorStoreIndex
    from llama_index.core.schema import TextNode

    nodes = [TextNode(text=text) for text in ("whales sing in deep water", "rockets burn liquid fuel")]
    index = VectorStoreIndex(nodes, embed_model=as_llama_embedding(builtin))
    [hit] = index.as_retriever(similarity_top_k=1).retrieve("what fuel do rockets use?")
    assert hit.node.get_content() == "rockets burn liquid fuel"
