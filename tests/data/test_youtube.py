"""VGG-SS clips against a program that answers as yt-dlp does, and against yt-dlp itself where it is installed."""

import contextlib
import http.server
import importlib.util
import os
import shutil
import sys
import threading

import numpy as np
import pytest
import soundfile
from PIL import Image

from soundprompt.data import vggss, youtube
from soundprompt.errors import InputError
from soundprompt.params import Youtube

from .test_video import grey, steady, write_video

QUICK = Youtube(pause_s=0, timeout_s=20)
ANSWERS = {
    "gone": "ERROR: [youtube] gone: Video unavailable. This video has been removed by the uploader",
    "private": "ERROR: [youtube] private: Private video. Sign in if you've been granted access to this video",
    "robot": "ERROR: [youtube] robot: Sign in to confirm you're not a bot",
    "full": "ERROR: unable to write data: [Errno 28] No space left on device",
}
PROGRAM = """
import pathlib, shutil, sys, time
here, words = pathlib.Path(__file__).parent, sys.argv[1:]
name, output = words[-1].rpartition("=")[2], pathlib.Path(words[words.index("--output") + 1])
with open(here / "calls.txt", "a") as calls:
    print(*words, file=calls)
answer = here / f"{name}.txt"
if answer.exists():
    sys.exit("WARNING: old version\\n" + answer.read_text())
if name == "hang":
    time.sleep(60)
if (here / f"{name}.mkv").exists():
    shutil.copy(here / f"{name}.mkv", str(output).replace("%(ext)s", "mkv"))
"""


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_video(folder / "good.mkv", steady(10, 10), sound=(0, 10))
    write_video(folder / "mute.mkv", steady(10, 2), sound=None)
    (folder / "zero.mkv").touch()
    (folder / "text.mkv").write_text("<html>not a film</html>")
    for name, text in ANSWERS.items():
        (folder / f"{name}.txt").write_text(text)
    (folder / "program.py").write_text(PROGRAM)
    return folder


@pytest.fixture
def calls(films):
    (films / "calls.txt").write_text("")
    return lambda: (films / "calls.txt").read_text().splitlines()


def bring(films, root, *names, settings=QUICK, **options):
    source = youtube.from_youtube(settings, root, command=[sys.executable, str(films / "program.py")])
    return youtube.bring([f"{name}_000030" for name in names], root, source, **options)


def test_single_failures_are_lines_with_a_reason(films, calls, tmp_path):
    counts = bring(films, tmp_path, "good", "gone", "robot", "zero", "mute", "text", "silent")
    assert counts == {"found": 1, "missing": 3, "unusable": 3}
    outcomes = vggss.read_outcomes(tmp_path)
    assert "removed by the uploader" in outcomes["gone_000030"][1]
    assert outcomes["robot_000030"] == ("missing", "ask again: [youtube] robot: Sign in to confirm you're not a bot")
    assert outcomes["zero_000030"] == ("unusable", "is empty (0 bytes)")
    assert outcomes["mute_000030"] == ("unusable", "has no audio track")
    assert outcomes["text_000030"][0] == "unusable" and "ended without a file" in outcomes["silent_000030"][1]
    wave, rate = soundfile.read(tmp_path / "audio" / "good_000030.wav")
    assert rate == 16000 and len(wave) == pytest.approx(160_000, abs=800)
    shown = np.median(np.asarray(Image.open(tmp_path / "frames" / "good_000030.jpg"))[16:, 16:])
    assert abs(shown - grey(5.0)) <= 2
    assert not [path for path in tmp_path.iterdir() if path.name not in ("frames", "audio", "clips.csv")]


def test_ten_seconds_from_the_start_second_and_what_the_settings_ask(films, calls, tmp_path):
    (tmp_path / "cookies.txt").touch()
    settings = Youtube(pause_s=0, rate="2M", cookies=str(tmp_path / "cookies.txt"))
    bring(films, tmp_path, "gone", settings=settings)
    line = calls()[0]
    for words in ("*30-40", "--limit-rate 2M", f"--cookies {tmp_path}/cookies.txt", "-- https://www.youtube.com/watch"):
        assert words in line


def test_a_second_call_asks_for_what_may_come_only(films, calls, tmp_path):
    names = ("good", "gone", "private", "robot", "zero")
    bring(films, tmp_path, *names)
    first = (tmp_path / "clips.csv").read_bytes()
    assert len(calls()) == 5
    bring(films, tmp_path, *names)
    assert [line.rpartition("=")[2] for line in calls()[5:]] == ["robot", "zero"]
    assert (tmp_path / "clips.csv").read_bytes() == first
    (tmp_path / "audio" / "good_000030.wav").unlink()
    assert bring(films, tmp_path, *names)["found"] == 1 and len(calls()) == 10


def test_a_killed_job_goes_on(films, calls, tmp_path):
    (tmp_path / "clips.csv").write_text(f"gone_000030,missing,{ANSWERS['gone'][7:]}\nprivate_000030,miss")
    bring(films, tmp_path, "gone", "private")
    assert len(calls()) == 1 and "private" in calls()[0]


def test_a_block_ends_the_asking_but_not_the_job(films, calls, tmp_path):
    shutil.copy(films / "robot.txt", films / "robot2.txt")
    shutil.copy(films / "robot.txt", films / "robot3.txt")
    counts = bring(films, tmp_path, "robot", "robot2", "robot3", "good", patience=2)
    assert len(calls()) == 2 and counts == {"missing": 4}
    assert "not tried after 2 failures" in vggss.read_outcomes(tmp_path)["good_000030"][1]
    assert bring(films, tmp_path, "good")["found"] == 1


LIMIT = (
    "ERROR: [youtube] {}: Video unavailable. This content isn't available, try again later. The current session has "
    "been rate-limited by YouTube for up to an hour. It is recommended to use `-t sleep` to add a delay."
)


def test_a_limit_of_the_rate_writes_nothing_off(films, calls, tmp_path, capsys):
    """Each call asks for the next ones, says what is left, and the last one has them all."""
    names = [f"limited{number}" for number in range(6)]
    for name in names:
        (films / f"{name}.txt").write_text(LIMIT.format(name))
    for first in (0, 2, 4, 0):
        (films / "calls.txt").write_text("")
        counts = bring(films, tmp_path, *names, patience=2)
        assert counts == {"missing": 6}
        assert [line.rpartition("=")[2] for line in calls()] == names[first : first + 2]
        said = capsys.readouterr().err
        assert "0 of 6 clips" in said and "4 are left for another call" in said and "for up to an hour" in said
    for name in names:
        (films / f"{name}.txt").unlink()
        shutil.copy(films / "good.mkv", films / f"{name}.mkv")
    assert bring(films, tmp_path, *names, patience=2) == {"found": 6}


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ("Video unavailable. This video has been removed by the uploader", True),
        ("This video has been removed by the uploader.", True),
        ("This video has been removed for violating YouTube\u2019s Terms of Service", True),
        ("This video has been removed for violating YouTube's policy on hate speech. Learn more about it here.", True),
        (
            "Video unavailable. This video is no longer available because the YouTube account associated with this "
            "video has been terminated.",
            True,
        ),
        ("This video is no longer available because the uploader has closed their YouTube account.", True),
        ("Video unavailable. This video is no longer available due to a copyright claim by Some Label, Inc.", True),
        ("Private video. Sign in if you've been granted access to this video. Use --cookies-from-browser or", True),
        ("This video is private", True),
        ("Video unavailable", False),
        ("Video unavailable. This content isn't available, try again later", False),
        ("Video unavailable. This content isn\u2019t available.", False),
        ("Video unavailable. This video is not available", False),
        ("Video unavailable. This video contains content from SME, who has blocked it on copyright grounds", False),
        ("The uploader has not made this video available in your country", False),
        ("Sign in to confirm you\u2019re not a bot", False),
        ("Unable to download webpage: HTTP Error 503: Service Unavailable (caused by <HTTPError 503>)", False),
        ("HTTP Error 429: Too Many Requests", False),
        ("unable to download video data: HTTP Error 403: Forbidden", False),
        ("[Errno 2] No such file or directory: 'cookies.txt' does not exist", False),
        ("Unable to download API page: [Errno -3] Temporary failure in name resolution", False),
        ("Requested format is not available. Use --list-formats for a list of available formats", False),
        ("The page has been removed by a proxy", False),
    ],
)
def test_gone_for_good_are_known_words_alone(films, calls, tmp_path, said, gone):
    (films / "answer.txt").write_text(f"ERROR: [youtube] answer: {said}")
    for asked in (1, 1 if gone else 2):
        bring(films, tmp_path, "answer")
        assert len(calls()) == asked
    status, reason = vggss.read_outcomes(tmp_path)["answer_000030"]
    assert status == "missing" and reason.startswith("ask again: ") != gone


def test_what_an_earlier_version_wrote_off_is_asked_for_again(films, calls, tmp_path):
    reason = LIMIT.format("good").removeprefix("ERROR: ").replace(",", ";")
    (tmp_path / "clips.csv").write_text(f"file,status,reason\ngood_000030,missing,{reason}\n")
    assert bring(films, tmp_path, "good") == {"found": 1}


def test_what_is_said_of_single_videos_ends_no_call(films, calls, tmp_path):
    for number in range(4):
        (films / f"plain{number}.txt").write_text(f"ERROR: [youtube] plain{number}: Video unavailable")
    counts = bring(films, tmp_path, *(f"plain{number}" for number in range(4)), "good", patience=2)
    assert counts == {"found": 1, "missing": 4} and len(calls()) == 5


def test_a_cookies_file_that_goes_missing_stops_the_job(films, calls, tmp_path):
    cookies = tmp_path / "cookies.txt"
    cookies.touch()
    settings = Youtube(pause_s=0, cookies=str(cookies))
    source = youtube.from_youtube(settings, tmp_path, command=[sys.executable, str(films / "program.py")])
    cookies.unlink()
    with pytest.raises(InputError, match=r"cookies\.txt: missing"):
        youtube.bring(["robot_000030"], tmp_path, source)
    (films / "broken.txt").write_text("ERROR: 'cookies.txt' does not look like a Netscape format cookies file")
    with pytest.raises(InputError, match="cannot read the cookies"):
        bring(films, tmp_path, "broken")
    assert "robot_000030" not in vggss.read_outcomes(tmp_path)


def test_a_hanging_download_is_given_up(films, calls, tmp_path):
    bring(films, tmp_path, "hang", settings=Youtube(pause_s=0, timeout_s=1))
    assert "no end within 1 s" in vggss.read_outcomes(tmp_path)["hang_000030"][1]


def test_what_is_wrong_with_the_machine_stops_the_job(films, tmp_path):
    with pytest.raises(InputError, match="disk is full"):
        bring(films, tmp_path, "full")
    with pytest.raises(InputError, match="cookies"):
        bring(films, tmp_path, "good", settings=Youtube(cookies=str(tmp_path / "none.txt")))
    (tmp_path / "frames").write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        bring(films, tmp_path, "good")


def test_missing_tools_are_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="ffmpeg") as caught:
        youtube.tool()
    assert "data.vggss_clips" in caught.value.remedy
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    if importlib.util.find_spec("yt_dlp"):
        assert youtube.tool()[1:] == ["-m", "yt_dlp"]
        return
    with pytest.raises(InputError, match="yt-dlp") as caught:
        youtube.tool()
    assert "[youtube]" in caught.value.remedy
    shutil.copy(tmp_path / "ffmpeg", tmp_path / "yt-dlp")
    assert youtube.tool() == ["yt-dlp"]


def test_clips_from_a_folder(films, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(films / "good.mkv", folder / "good_000030.mkv")
    (folder / "zero_000030.mp4").touch()
    files = ["good_000030", "zero_000030", "none_000030"]
    counts = youtube.bring(files, tmp_path / "vggss", youtube.from_folder(folder, tmp_path / "vggss"))
    assert counts == {"found": 1, "unusable": 1, "missing": 1}
    with pytest.raises(InputError, match="no such folder"):
        youtube.from_folder(tmp_path / "elsewhere", tmp_path)


OTHERS = (".jpg", ".webp", ".en.vtt", ".info.json", ".f137.mp4", ".temp.mp4", ".mp4.part", ".mp4.ytdl", ".m4a")


@pytest.mark.parametrize("ending", [".mp4", ".MP4", ".mkv", ".webm"])
def test_what_stands_beside_a_clip_is_not_the_clip(films, tmp_path, ending):
    folder = tmp_path / "clips"
    folder.mkdir()
    for other in OTHERS:
        (folder / f"good_000030{other}").write_bytes(b"not a film")
        (folder / f"none_000030{other}").write_bytes(b"not a film")
    (folder / "zero_000030.mp4").touch()
    shutil.copy(films / "good.mkv", folder / f"good_000030{ending}")
    shutil.copy(films / "good.mkv", folder / "zero_000030.webm")
    root = tmp_path / "vggss"
    counts = youtube.bring(["good_000030", "none_000030", "zero_000030"], root, youtube.from_folder(folder, root))
    assert counts == {"found": 2, "missing": 1}
    assert vggss.read_outcomes(root)["none_000030"] == (
        "missing",
        f"ask again: {folder} has no none_000030.mp4, nor another film of that name",
    )


def test_a_clip_that_is_put_right_is_found(films, tmp_path):
    (tmp_path / "clips").mkdir()
    clip = tmp_path / "clips" / "good_000030.mp4"
    clip.write_bytes(b"not a film")
    root = tmp_path / "vggss"
    assert youtube.bring(["good_000030"], root, youtube.from_folder(tmp_path / "clips", root)) == {"unusable": 1}
    shutil.copy(films / "good.mkv", clip)
    assert youtube.bring(["good_000030"], root, youtube.from_folder(tmp_path / "clips", root)) == {"found": 1}


def test_a_name_with_a_star_is_that_name_alone(films, tmp_path):
    (tmp_path / "clips").mkdir()
    shutil.copy(films / "good.mkv", tmp_path / "clips" / "good_000030.mp4")
    root = tmp_path / "vggss"
    assert youtube.bring(["*", "g*"], root, youtube.from_folder(tmp_path / "clips", root)) == {"missing": 2}


class Site(http.server.BaseHTTPRequestHandler):
    """Sends films, whole or the range that is asked for."""

    def do_GET(self):
        path = self.server.folder / self.path.strip("/")
        if not path.exists():
            return self.send_error(404)
        body, wanted = path.read_bytes(), self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Type", "video/x-matroska")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:])

    do_HEAD = do_GET

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(OSError):  # ffmpeg hangs up when it has enough
            super().handle()


@pytest.mark.skipif(not (importlib.util.find_spec("yt_dlp") and shutil.which("ffmpeg")), reason="needs yt-dlp, ffmpeg")
def test_yt_dlp_itself(tmp_path):
    write_video(tmp_path / "film.mkv", steady(10, 30), sound=(0, 30))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.folder = tmp_path
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/{{id}}.mkv"
    source = youtube.from_youtube(QUICK, tmp_path / "vggss", address)
    counts = youtube.bring(["film_000012", "none_000000"], tmp_path / "vggss", source)
    server.shutdown()
    assert counts == {"found": 1, "missing": 1}, os.linesep + (tmp_path / "vggss" / "clips.csv").read_text()
    shown = np.median(np.asarray(Image.open(tmp_path / "vggss" / "frames" / "film_000012.jpg"))[16:, 16:])
    # within one picture of this film: 17.0 s is where one begins, and a cut may begin a millisecond late
    assert shown in [pytest.approx(grey(time), abs=1.5) for time in (16.9, 17.0)]
