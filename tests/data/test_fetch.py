"""The downloader against a real server on loopback that misbehaves in every way we know."""

import hashlib
import http.server
import threading

import pytest

from soundprompt.data import catalog, fetch
from soundprompt.errors import InputError

CONTENT = bytes(range(256)) * 20_000  # 5 MB
PAGE = b"<!DOCTYPE html><html><body>please log in</body></html>"


class Server(http.server.ThreadingHTTPServer):
    """Answers each path by its first part: how it misbehaves; counts requests and remembers ranges."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.ranges = [], []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        kind = self.path.split("/")[1]
        first = sum(path == self.path for path in self.server.asked) == 1
        if kind == "missing":
            return self.send_error(404)
        if kind == "broken" or (kind == "flaky" and first):
            return self.send_error(500)
        body = {"wrong": b"x" * len(CONTENT), "page": PAGE, "short": CONTENT[:1000]}.get(kind, CONTENT)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and kind != "norange" else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        drop = kind in ("drops", "norange") and first
        self.wfile.write(body[start : len(body) // 2] if drop else body[start:])

    def log_message(self, *_):
        pass


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


@pytest.mark.parametrize("kind", ["good", "flaky", "drops", "norange"])
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
