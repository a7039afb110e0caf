"""The Hugging Face Hub as a place for exported models: hf://owner/name, or hf://owner/name@revision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soundprompt.errors import InputError

SCHEME = "hf://"
FILES = ["*.json", "*.safetensors", "README.md", "LICENSE"]  # '*' stands for folders too
_ADDRESS = re.compile(r"hf://(?P<name>[\w.-]+/[\w.-]+?)(@(?P<revision>[^@\s]+))?/?")


def is_address(place: Path | str) -> bool:
    """Whether a place is on the Hub."""
    return str(place).startswith(SCHEME)


def pull(address: str) -> Path:
    """Brings an exported model and returns its folder, in the Hub's cache of this machine.

    Without a network the copy of an earlier time is taken. Raises InputError when it cannot be had.
    """
    name, revision = _parts(address)
    with _errors(address, "check the name and the network; for a private model run `hf auth login`"):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, revision=revision, allow_patterns=FILES))


def push(folder: Path, address: str, private: bool = False) -> str:
    """Uploads an exported folder as one commit, into a repository that is made where there is none; returns its URL.

    Raises InputError when the Hub refuses.
    """
    name, revision = _parts(address)
    with _errors(address, "check the name and the network; log in with `hf auth login`"):
        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        message = "Model exported by soundprompt"
        api.upload_folder(repo_id=name, folder_path=folder, revision=revision, commit_message=message)
        return f"{api.endpoint}/{name}"


def _parts(address: str) -> tuple[str, str | None]:
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise InputError(
            f"'{address}' is no place on the Hub", remedy="write hf://owner/name, or ...@revision behind it"
        )
    return found["name"], found["revision"]


@contextmanager
def _errors(address: str, remedy: str) -> Iterator[None]:
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise InputError(f"{address}: needs huggingface_hub", remedy="pip install 'soundprompt[hub]'") from error
    try:
        yield
    except Exception as error:  # the client's own, and those of the HTTP library that its version is built on
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{address}: {said}", remedy=remedy) from error
