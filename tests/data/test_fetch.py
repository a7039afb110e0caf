"""The downloader against a real server on loopback that misbehaves in every way we know."""

import gzip
import hashlib
import http.server
import subprocess
import sys
import threading
import time
from email.utils import formatdate

import pytest

from soundprompt.data import catalog, fetch
from soundprompt.errors import InputError

CONTENT = bytes(range(256)) * 20_000  # 5 MB
PAGE = b"<!DOCTYPE html><html><body>please log in</body></html>"


class Server(http.server.ThreadingHTTPServer):
    """Answers each path by its first part: how it misbehaves; counts requests and remembers ranges."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.ranges, self.encodings, self.times = [], [], [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


RETRY_AFTER = {
    "429-1": lambda: "1",
    "503-2": lambda: formatdate(time.time() + 2, usegmt=True),
    "429-9999": lambda: "9999",
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.encodings.append(self.headers.get("Accept-Encoding"))
        self.server.times.append(time.monotonic())
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        kind = self.path.split("/")[1]
        first = sum(path == self.path for path in self.server.asked) == 1
        if kind == "missing":
            return self.send_error(404)
        if kind == "broken" or (kind == "flaky" and first):
            return self.send_error(500)
        if kind[:3].isdigit() and (first or kind == "429-9999"):
            return self.refuse(kind)
        if kind in ODD:
            return ODD[kind](self, int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0)
        body = {"wrong": b"x" * len(CONTENT), "page": PAGE, "short": CONTENT[:1000]}.get(kind, CONTENT)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and kind != "norange" else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        drop = kind in ("drops", "norange") and first
        self.wfile.write(body[start : len(body) // 2] if drop else body[start:])

    def refuse(self, kind):
        self.send_response(int(kind[:3]))
        if kind in RETRY_AFTER:
            self.send_header("Retry-After", RETRY_AFTER[kind]())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, body, code=200, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def bits(handler, start):
    """A fifth of the file on each connection."""
    stop = min(start + len(CONTENT) // 5, len(CONTENT))
    handler.answer(CONTENT[start:stop], 206 if start else 200, Content_Length=str(len(CONTENT) - start))


def packed(handler, start):
    body = gzip.compress(CONTENT)
    handler.answer(body, Content_Encoding="gzip", Content_Length=str(len(body)))


def packed_rest(handler, start):
    body = gzip.compress(CONTENT[start:])
    handler.answer(body, 206 if start else 200, Content_Encoding="gzip", Content_Length=str(len(body)))


def drip(handler, start):
    handler.answer(CONTENT[start : start + 10], 206 if start else 200, Content_Length=str(len(CONTENT) - start))
    handler.wfile.flush()
    for _ in range(20):
        time.sleep(0.1)
        try:
            handler.wfile.write(b"x")
        except OSError:
            return


ODD = {
    "bits": bits,
    "gzip": packed,
    "gziprest": packed_rest,
    "nolength": lambda handler, start: handler.answer(CONTENT[start:], 206 if start else 200),
    "toolong": lambda handler, start: handler.answer(
        CONTENT[start:], 206 if start else 200, Content_Length=str(len(CONTENT) - start + 999)
    ),
    "tooshort": lambda handler, start: handler.answer(
        CONTENT[start:], 206 if start else 200, Content_Length=str(min(len(CONTENT) - start, 100_000))
    ),
    "elsewhere": lambda handler, start: (
        handler.answer(CONTENT[:1000], 206, Content_Range=f"bytes 0-999/{len(CONTENT)}", Content_Length="1000")
        if start
        else handler.answer(CONTENT, Content_Length=str(len(CONTENT)))
    ),
    "empty": lambda handler, start: handler.answer(b""),
    "drip": drip,
    "slow": lambda handler, start: (time.sleep(1), handler.answer(CONTENT)),
}


@pytest.fixture
def server():
    server = Server()
    yield server
    server.shutdown()


def item(server, kind, size=len(CONTENT), digits=64):
    sha256 = hashlib.sha256(CONTENT).hexdigest()[:digits]
    return catalog.File(path="weights/a.pth", url=server.url(f"{kind}/a.pth"), size=size, sha256=sha256, licence="MIT")


def get(file, folder, **options):
    return fetch.fetch(file, folder, attempts=3, pause_s=0.01, **options)


LATER = ["408", "425", "429", "500", "502", "503", "504", "429-1", "503-2"]
LENGTHS = ["nolength", "toolong", "tooshort", "gzip"]


@pytest.mark.parametrize("kind", ["good", "flaky", "drops", "norange", *LATER, *LENGTHS])
def test_it_arrives_in_the_end(server, tmp_path, kind):
    assert get(item(server, kind), tmp_path).read_bytes() == CONTENT
    assert [p.name for p in (tmp_path / "weights").iterdir()] == ["a.pth"]


def test_a_dropped_connection_is_resumed_not_restarted(server, tmp_path):
    get(item(server, "drops"), tmp_path)
    first, second = server.ranges
    assert first is None and int(second.removeprefix("bytes=").rstrip("-")) > len(CONTENT) // 2 - 2 * fetch.CHUNK


def test_a_right_file_is_kept_and_a_damaged_one_fetched_again(server, tmp_path):
    file = item(server, "good")
    path = get(file, tmp_path)
    get(file, tmp_path)
    assert len(server.asked) == 1
    path.write_bytes(CONTENT[:-1] + b"?")
    assert get(file, tmp_path).read_bytes() == CONTENT and len(server.asked) == 2


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("wrong", ["sha256", "a.pth.bad"]),
        ("page", [f"instead of {len(CONTENT)}", "HTML page", "a.pth.bad"]),
        ("short", ["1000 bytes", "a.pth.bad"]),
        ("missing", ["404"]),
        ("broken", ["500", "3 attempts"]),
    ],
)
def test_what_cannot_be_had_is_told_and_never_takes_the_name(server, tmp_path, kind, words):
    with pytest.raises(InputError) as caught:
        get(item(server, kind), tmp_path)
    assert all(word in str(caught.value) for word in [*words, "data.mirrors"])
    assert not (tmp_path / "weights" / "a.pth").exists()


def test_a_client_error_is_not_retried(server, tmp_path):
    with pytest.raises(InputError):
        get(item(server, "missing"), tmp_path)
    assert len(server.asked) == 1


def test_published_digits_of_a_digest_are_enough(server, tmp_path):
    assert get(item(server, "good", size=None, digits=8), tmp_path).exists()
    with pytest.raises(InputError, match="sha256"):
        get(item(server, "wrong", size=None, digits=8), tmp_path / "other")


def test_mirrors_come_first_in_order_and_the_origin_last(server, tmp_path):
    mirrors = [server.url("missing"), server.url("wrong")]
    get(item(server, "good"), tmp_path, mirrors=mirrors)
    assert [path.split("/")[1] for path in server.asked] == ["missing", "wrong", "good"]


@pytest.mark.parametrize("as_url", [True, False])
def test_a_folder_is_a_mirror_for_clusters_without_internet(server, tmp_path, as_url):
    (tmp_path / "mirror" / "weights").mkdir(parents=True)
    (tmp_path / "mirror" / "weights" / "a.pth").write_bytes(CONTENT)
    mirror = (tmp_path / "mirror").as_uri() if as_url else str(tmp_path / "mirror")
    assert get(item(server, "good"), tmp_path / "here", mirrors=[mirror]).read_bytes() == CONTENT
    assert server.asked == []


def test_a_killed_download_goes_on_where_it_was(server, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / ".a.pth.part").write_bytes(CONTENT[:1234])
    get(item(server, "good"), tmp_path)
    assert server.ranges == ["bytes=1234-"]


def test_a_form_is_asked_for_in_words(tmp_path):
    with pytest.raises(InputError) as caught:
        fetch.require_archive(catalog.find("avsbench_semantic"), "avsbench_semantic", tmp_path)
    for word in ("forms.gle", "avsbench_semantic.zip", "metadata.csv, v1s, v1m, v2"):
        assert word in str(caught.value)


def test_the_catalogue_is_sound():
    files = catalog.load().files
    assert {"sam_vit_b", "sam_vit_l", "sam_vit_h", "vggish", "vggss_json", "avs_v3_unseen"} <= set(files)
    assert len(catalog.load().group("avs_v3")) == 11
    assert len({file.path for file in files.values()}) == len(files)
    for file in files.values():
        assert file.url.startswith("https://")
        assert "github" not in file.url or "/releases/" in file.url or any(len(p) == 40 for p in file.url.split("/"))
    with pytest.raises(InputError, match="sam_vit_b"):
        catalog.find("sam_vit_x")


def test_a_server_that_says_when_is_asked_then(server, tmp_path):
    for kind in ("429-1", "503-2"):
        server.times.clear()
        get(item(server, kind), tmp_path / kind)
        first, second = server.times
        assert 0.9 < second - first < 5  # a date has whole seconds: a part of one has gone by


def test_a_server_that_asks_for_hours_is_left_for_another_call(server, tmp_path):
    with pytest.raises(InputError, match=r"429 .*asks to wait 9999 s: run again later"):
        get(item(server, "429-9999"), tmp_path)
    assert len(server.asked) == 1


def test_no_answer_is_asked_for_in_a_compressed_form(server, tmp_path):
    get(item(server, "drops"), tmp_path)
    assert server.encodings == ["identity", "identity"]


def test_a_compressed_or_misplaced_rest_is_not_appended(server, tmp_path):
    for kind in ("gziprest", "elsewhere"):
        folder = tmp_path / kind
        (folder / "weights").mkdir(parents=True)
        (folder / "weights" / ".a.pth.part").write_bytes(CONTENT[:1234])
        assert get(item(server, kind), folder).read_bytes() == CONTENT


def test_attempts_start_anew_with_each_progress(server, tmp_path):
    """Five connections, of which three may bring nothing."""
    assert get(item(server, "bits"), tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("kind", "words"),
    [("drip", ["slower than 1024 bytes a second", "3 attempts"]), ("empty", ["sent 0 of 5120000", "3 attempts"])],
)
def test_an_end_without_a_file_is_told_apart(server, tmp_path, monkeypatch, kind, words):
    monkeypatch.setattr(fetch, "SLOW_S", 0.3)
    with pytest.raises(InputError) as caught:
        get(item(server, kind), tmp_path)
    assert all(word in str(caught.value) for word in words)


def test_a_beginning_of_other_bytes_costs_a_second_download_only(server, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / ".a.pth.part").write_bytes(b"?" * 1234)
    assert get(item(server, "good"), tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1234-", None]
    (tmp_path / "weights" / ".a.pth.part").write_bytes(CONTENT + b"too long")
    (tmp_path / "weights" / "a.pth").unlink()
    assert get(item(server, "good"), tmp_path).read_bytes() == CONTENT


def test_a_full_disk_is_no_fault_of_the_network(server, tmp_path, monkeypatch):
    huge = item(server, "good", size=1 << 60)
    with pytest.raises(InputError, match=r"disk is full: 1,152,921,504,606,846,976 bytes are needed, [\d,]+ are free"):
        get(huge, tmp_path)
    assert len(server.asked) == 1
    (tmp_path / "weights" / ".a.pth.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"cannot be written .No space left on device") as caught:
        get(item(server, "nolength"), tmp_path)
    assert "free space" in caught.value.remedy and not (tmp_path / "weights" / "a.pth").exists()


@pytest.mark.parametrize(
    "page",
    [
        PAGE,
        b"\xef\xbb\xbf" + PAGE,
        PAGE.decode().encode("utf-16"),
        b"\n\n  <!-- a consent banner\n with lines -->\n<!-- and another --><HTML>",
        b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC>",
        b"<head><title>Sign in</title>",
        b"<!-- " + b"x" * 5000 + b" --><html>",
    ],
)
def test_a_page_is_not_taken_for_a_file_of_unknown_size(server, tmp_path, page):
    (tmp_path / "mirror" / "weights").mkdir(parents=True)
    (tmp_path / "mirror" / "weights" / "a.pth").write_bytes(page)
    file = catalog.File(path="weights/a.pth", url=server.url("missing/a.pth"), licence="MIT")
    with pytest.raises(InputError, match=r"an HTML page, not the file; kept as a\.pth\.bad"):
        get(file, tmp_path / "here", mirrors=[str(tmp_path / "mirror")])
    (tmp_path / "mirror" / "weights" / "a.pth").write_bytes(b"PK\x03\x04<html>")
    assert get(file, tmp_path / "here", mirrors=[str(tmp_path / "mirror")]).exists()


def test_two_fetches_of_one_file_do_not_disturb_each_other(server, tmp_path):
    """Two processes and two threads ask at once; one download, the right bytes, nothing left beside them."""
    file = item(server, "slow")
    code = (
        "import sys, pathlib; from soundprompt.data import catalog, fetch; "
        "fetch.fetch(catalog.File.model_validate_json(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    words = [sys.executable, "-c", code, file.model_dump_json(), str(tmp_path)]
    others = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    threads = [threading.Thread(target=get, args=(file, tmp_path)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = [other.communicate(timeout=60)[1] for other in others]
    assert [other.returncode for other in others] == [0, 0], said
    assert (tmp_path / "weights" / "a.pth").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["a.pth"]
    assert len(server.asked) == 1


def test_a_lock_that_a_killed_fetch_left_stands_in_nobodys_way(server, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / ".a.pth.lock").touch()
    get(item(server, "good"), tmp_path)
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["a.pth"]
