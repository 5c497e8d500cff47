"""Opening inputs: encodings, damage, size, folders, addresses."""

import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib

import pytest

from rag.errors import InputError, UsageError
from rag.papers import Record, Reject
from rag.parsers import Notice, expand, parse, parse_text
from rag.parsers.fetch import fetch
from rag.parsers.identifiers import code_links, find_arxiv_id, find_doi, find_url, read_date, read_year
from rag.parsers.names import split_authors

ABSTRACT = "We measure how well small models count coins in photographs and find that they rarely do."


def row(title="Counting coins"):
    return json.dumps({"title": title, "abstract": ABSTRACT}, ensure_ascii=False)


def items(path, kind, **options):
    return [item for item in parse(path, **options) if isinstance(item, kind)]


# Encodings


def test_latin_1_lines_are_read_with_one_notice_and_utf_8_lines_beside_them_stay_right(tmp_path):
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(
        b"\n".join([row("Etüden").encode("utf-8"), row("Schrödinger").encode("latin-1"), row("é").encode("latin-1")])
    )
    assert [record.title for record in items(path, Record)] == ["Etüden", "Schrödinger", "é"]
    notices = [notice for notice in items(path, Notice) if "Latin-1" in notice.message]
    assert [notice.line for notice in notices] == [2]


def test_a_latin_1_json_document_is_read_with_a_notice(tmp_path):
    path = tmp_path / "list.json"
    path.write_bytes(json.dumps([{"title": "Schrödinger", "abstract": ABSTRACT}], ensure_ascii=False).encode("latin-1"))
    assert [record.title for record in items(path, Record)] == ["Schrödinger"]
    assert any("Latin-1" in notice.message for notice in items(path, Notice))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_other_unicode_encodings_are_read(encoding, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes((row("Schrödinger ∂") + "\r\n" + row("Second")).encode(encoding))
    assert [record.title for record in items(path, Record)] == ["Schrödinger ∂", "Second"]


def test_nuls_are_dropped_with_a_notice(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes((row() + "\n").encode() * 5 + row("Coi\x00ns").replace("\\u0000", "\x00").encode())
    assert items(path, Record)[-1].title == "Coins"
    assert any("NUL" in notice.message for notice in items(path, Notice))


# What cannot be read at all


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n\n", "only white space"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"PK\x03\x04stuff", "zip archive"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture"),
        (bytes(range(256)) * 20, "not text"),
        (b"\x1f\x8b\x08\x00garbage", "gzip"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"<!DOCTYPE html><html><body>Papers</body></html>", "web page"),
        (b"<?xml version='1.0'?><rss></rss>", "not an Atom feed"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(content, message, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        parse(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_missing_paths_folders_and_unknown_formats_are_said(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        parse(tmp_path / "nothing.txt")
    with pytest.raises(InputError, match="is a folder"):
        parse(tmp_path)
    with pytest.raises(UsageError, match="no format is called 'docx'; known formats: listing-lines"):
        parse_text("x", format="docx")
    with pytest.raises(InputError, match="not a regular file"):
        parse("/dev/null")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_said(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text(ABSTRACT)
    path.chmod(0)
    with pytest.raises(InputError, match="permission denied"):
        parse(path)


# Damage


def test_a_gzip_file_that_was_cut_keeps_what_came_before(tmp_path):
    packed = gzip.compress(("\n".join(row(f"Paper {index} {index**5}") for index in range(5_000))).encode())
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    records, rejects = items(path, Record), items(path, Reject)
    assert len(records) > 1_000
    assert any("cut short" in reject.reason for reject in rejects)


def test_a_gzip_bomb_is_stopped(tmp_path):
    path = tmp_path / "bomb.jsonl.gz"
    squeezer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as target:
        target.write(squeezer.compress((row() + "\n").encode()))
        for _ in range(75):
            target.write(squeezer.compress(bytes([120]) * 2**20))
        target.write(squeezer.flush())
    rejects = items(path, Reject)
    assert len(items(path, Record)) == 1
    assert any("times its size" in reject.reason for reject in rejects)


def test_a_line_beyond_the_limit_is_rejected_and_the_next_one_read(tmp_path):
    path = tmp_path / "long.jsonl"
    with path.open("w") as target:
        target.write(row("First") + "\n" + '{"title": "' + "x" * (9 * 2**20) + '"}\n' + row("Last"))
    assert [record.title for record in items(path, Record)] == ["First", "Last"]
    (reject,) = items(path, Reject)
    assert (reject.line, reject.reason) == (2, "a line of more than 8 MiB")


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("long.nbib", "PMID- 1\nTI  - First\nAB  - "),
        ("long.txt", "FN Clarivate Analytics Web of Science\nVR 1.0\nPT J\nTI First\nAB "),
        ("long.txt", "arXiv:2001.00001 [pdf]\nTitle: First\nAbstract: "),
        ("long.ris", "TY  - JOUR\nTI  - First\nAB  - "),
    ],
    ids=["medline", "wos", "arxiv-page", "ris"],
)
def test_a_record_that_never_ends_is_rejected_and_the_next_one_read(tmp_path, name, start):
    path = tmp_path / name
    path.write_text(f"{start}{ABSTRACT}" + f"\n      {ABSTRACT * 50}" * 2000 + f"\n{start}{ABSTRACT}\n")
    assert len(items(path, Record)) == 1
    (reject,) = items(path, Reject)
    assert reject.reason.endswith("of more than 8 MiB")


def test_the_last_record_of_a_ris_file_is_not_cut_but_rejected(tmp_path):
    path = tmp_path / "long.ris"
    keywords = f"KW  - {ABSTRACT * 50}\n" * 2000  # which would be read as far as they are held, without the abstract
    path.write_text(f"TY  - JOUR\nTI  - First\nER  - \nTY  - JOUR\nTI  - Last\n{keywords}AB  - {ABSTRACT}\n")
    assert [record.title for record in items(path, Record)] == ["First"]
    (reject,) = items(path, Reject)
    assert (reject.line, reject.reason) == (4, "a record of more than 8 MiB")


def test_a_huge_json_object_is_rejected_and_the_next_one_read(tmp_path):
    path = tmp_path / "long.json"
    with path.open("w") as target:
        target.write("[" + row("First") + ",\n" + '{"title": "' + "x" * (9 * 2**20) + '"},\n' + row("Last") + "]")
    assert [record.title for record in items(path, Record)] == ["First", "Last"]
    assert [reject.line for reject in items(path, Reject)] == [2]


# Memory


def stream(path, size, record):
    with path.open("w") as target:
        written = target.write("[" if path.suffix == ".json" else "")
        while written < size:
            written += target.write(record)
    return path


PAGE = ABSTRACT * 10
PAGE_ROW = json.dumps({"title": "Counting coins", "abstract": PAGE})
FORMS = {
    "jsonl": ("a.jsonl", PAGE_ROW + "\n"),
    "json on one line": ("a.json", PAGE_ROW + ", "),
    "csv": ("a.csv", f"title,abstract\nCoins,{PAGE}\n"),
    "blocks": ("a.txt", f"Counting coins again\n\n{PAGE}\n\n"),
    "one line": ("b.txt", ABSTRACT + " "),
    "bibtex": ("a.bib", "@misc{k, title={Coins}, abstract={" + PAGE + "}}\n"),
    "ris": ("a.ris", f"TY  - JOUR\nTI  - Coins\nAB  - {PAGE}\nER  - \n"),
    "atom": ("a.atom", f"<feed><entry><title>Coins</title><summary>{PAGE}</summary></entry>"),
}


NESTED = {
    "lists": "[" + row() + ",",
    "bare lists": "[",
    "objects": '{"a":',
    "objects in lists": '{"a":[',
    "unclosed strings": '{"title": "x\n',
    "closing brackets": "]}",
    "open entries": "<entry>",
    "quotes": 'x,"y\n',
}


@pytest.mark.parametrize("form", NESTED)
@pytest.mark.parametrize("declared", ["json", "jsonl", "csv", "atom", "bibtex", "text", "listing-lines"])
def test_content_made_to_be_slow_is_read_in_bounded_time(form, declared, tmp_path):
    path = tmp_path / "slow"
    path.write_text(("title,abstract\n" if declared == "csv" else "") + NESTED[form] * (600_000 // len(NESTED[form])))
    began = time.process_time()
    try:
        for _ in parse(path, format=declared):
            pass
    except InputError:
        pass
    assert time.process_time() - began < 20


def growth(path):
    tracemalloc.start()
    try:
        count = sum(1 for _ in parse(path))
        return tracemalloc.get_traced_memory()[1], count
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["jsonl", "json on one line", "csv", "blocks", "one line"])
def test_memory_does_not_grow_with_the_file(form, tmp_path):
    name, record = FORMS[form]
    small, _ = growth(stream(tmp_path / name, 1 * 2**20, record))
    large, _ = growth(stream(tmp_path / name, (24 if form == "one line" else 6) * 2**20, record))
    assert large < max(small * 2, 24 * 2**20)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_200_megabytes_are_read_in_60_megabytes(form, tmp_path):
    name, record = FORMS[form]
    stream(tmp_path / name, 200 * 10**6, record)
    code = (
        "import resource, sys; from rag.parsers import parse\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "list(parse(sys.argv[2])); before = peak()\n"
        "print(sum(1 for _ in parse(sys.argv[1])), peak() - before)"
    )
    small = stream(tmp_path / f"small-{name}", 10**5, record)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / name), str(small)], capture_output=True, text=True, check=True
    )
    (tmp_path / name).unlink()  # pytest would keep 200 MB for each of these
    assert int(done.stdout.split()[-1]) < 60


# Folders


def test_a_folder_gives_its_files_sorted_with_unknown_ones_rejected(tmp_path):
    for name in ["b.txt", "a.jsonl.gz", "deep/c.BIB", "deep/er/d.csv", "photo.jpg", ".hidden.txt", ".git/x.txt"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    found = list(expand([tmp_path, tmp_path / "missing.txt"]))
    files = [os.path.relpath(item, tmp_path) for item in found if isinstance(item, str)]
    assert files == ["a.jsonl.gz", "b.txt", "deep/c.BIB", "deep/er/d.csv", "missing.txt"]
    assert [os.path.basename(item.path) for item in found if isinstance(item, Reject)] == ["photo.jpg"]


# Progress


def test_progress_grows_to_the_size_of_the_file(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text((row() + "\n") * 20_000)
    parsed = parse(path)
    seen = [parsed.bytes_read for _ in parsed]
    assert seen == sorted(seen)
    assert seen[0] == 0 < seen[1] < seen[-1] <= parsed.bytes_total == path.stat().st_size


# Addresses


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        body = (row("From afar") + "\n").encode() * (2_000 if self.path == "/large" else 1)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(socket_enabled):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.loopback
def test_an_address_is_fetched_and_its_errors_are_one_line(server):
    parsed = parse(f"{server}/papers.jsonl")
    (record,) = [item for item in parsed if isinstance(item, Record)]
    assert record.title == "From afar"
    assert record.source.path == f"{server}/papers.jsonl"
    with pytest.raises(InputError, match="the server answers 404"):
        parse(f"{server}/missing")
    with pytest.raises(InputError, match="larger than"):
        fetch(f"{server}/large", max_bytes=1000)
    with pytest.raises(InputError, match="cannot fetch"):
        parse("http://127.0.0.1:1/nobody")


def test_a_bad_address_is_said_without_a_connection():
    with pytest.raises(InputError, match="is not a web address"):
        parse("http://")


# Identifiers, dates, names


@pytest.mark.parametrize(
    ("text", "doi"),
    [
        ("https://doi.org/10.1000/XYZ.", "10.1000/xyz"),
        ("doi:10.1002/(SICI)1097(199)1:1<1::AID>3", "10.1002/(sici)1097(199)1:1"),
        ("(see 10.1000/a(b)c)", "10.1000/a(b)c"),
        ("10.1/x", None),
        ("none", None),
    ],
)
def test_dois_are_bare_and_lower_case(text, doi):
    assert find_doi(text) == doi


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("https://arxiv.org/abs/2401.12345v2", "2401.12345"),
        ("http://arxiv.org/pdf/cs/0101001v1.pdf", "cs/0101001"),
        ("10.48550/arXiv.2401.12345", "2401.12345"),
        ("arXiv:math.GT/0309136", "math.GT/0309136"),
        ("ARXIV: 2401.12345 [cs]", "2401.12345"),
        ("https://example.org/2401.12345", None),
        ("arxiv.org/abs/2413.12345", None),
    ],
)
def test_arxiv_ids_have_no_version(text, identifier):
    assert find_arxiv_id(text) == identifier


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("2024-11-27", "2024-11-27"),
        ("2024-11-27T10:00:00Z", "2024-11-27"),
        ("2024/3/5", "2024-03-05"),
        ("Nov 27, 2024", "2024-11-27"),
        ("27 November 2024", "2024-11-27"),
        ("November 2024", "2024-11"),
        ("2024", "2024"),
        (2024, "2024"),
        (1_700_000_000_000, "2023-11-14"),
        ("Mar 11", "--03-11"),
        ("Feb 29", "--02-29"),
        ("2023-02-30", "2023-02"),
        ("2024-13-01", "2024"),
        ("some day in May", None),
        ("", None),
        (True, None),
        (float("inf"), None),
    ],
)
def test_dates_are_cut_to_what_is_known(value, date):
    assert read_date(value) == date


def test_years_are_read_only_where_they_are_plausible():
    assert [read_year(value) for value in ("c. 1999", 2024, "12024", "0", None, 2024.0)] == [
        1999,
        2024,
        None,
        None,
        None,
        2024,
    ]


@pytest.mark.parametrize(
    ("abstract", "links"),
    [
        ("Code: //github.com/a/b.", ("https://github.com/a/b",)),
        (
            "See (https://gitlab.com/a/b), and http://github.com/c/d_e/.",
            ("https://gitlab.com/a/b", "http://github.com/c/d_e/"),
        ),
        ("At huggingface.co/a/b; zenodo.org/record/1!", ("https://huggingface.co/a/b", "https://zenodo.org/record/1")),
        ("We use GitHub and github.com often, mail me@github.com/x.", ()),
        ("At https://github.com/a/b and again https://github.com/a/b", ("https://github.com/a/b",)),
        ("On notgithub.com/a/b.", ()),
        ("{https://github.com/a/b}", ("https://github.com/a/b",)),
    ],
)
def test_code_links_are_whole_and_clean(abstract, links):
    assert code_links(abstract) == links


def test_only_web_links_are_kept():
    assert find_url("javascript:alert(1)") is None
    assert find_url("file:///etc/passwd") is None
    assert find_url("see HTTPS://example.org/a_(b) now") == "HTTPS://example.org/a_(b)"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("A. Bee, C. Dee and E. Fox", ["A. Bee", "C. Dee", "E. Fox"]),
        ("Bee, Ann; Dee, Cy", ["Ann Bee", "Cy Dee"]),
        ("Bee, Ann and Dee, Cy", ["Ann Bee", "Cy Dee"]),
        ("Ann Bee (MIT, (Lab)), Cy Dee", ["Ann Bee", "Cy Dee"]),
        ("Bee, A., Dee, C. D.", ["A. Bee", "C. D. Dee"]),
        ("['Ann Bee', \"Cy O'Dee\"]", ["Ann Bee", "Cy O'Dee"]),
        ('["Ann Bee", "Cy Dee"]', ["Ann Bee", "Cy Dee"]),
        ("Andy Sandberg & Rand Band", ["Andy Sandberg", "Rand Band"]),
    ],
)
def test_author_lists_are_read_in_every_spelling(text, names):
    assert split_authors(text) == names
