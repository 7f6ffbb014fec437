"""The command line: every flag, its environment variable, its default and what is allowed."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from realtime_serve.errors import SettingsInvalid
from realtime_serve.settings.source import ARCHIVES, NOT_FOUND, Source, problem
from realtime_serve.settings.version import Dtype

ENVIRONMENT_PREFIX = "REALTIME_SERVE_"
TERMINATION_LOG = "/dev/termination-log"  # where the kubelet looks

REDIS_SCHEMES = ("redis", "rediss", "unix")

SHAPES = {
    "s3": "s3://BUCKET/PATH",
    "gs": "gs://BUCKET/PATH",
    "az": "az://ACCOUNT/CONTAINER/PATH",
    "http": "http://HOST/NAME.tar.gz",
    "https": "https://HOST/NAME.tar.gz",
}
REMOTE = tuple(SHAPES)
CHECKSUM_FLAG = " (--model-sha256)"

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the process was started with; nothing of it changes later."""

    model: str  # a directory, or a uri
    model_revision: str
    model_sha256: str
    cache: Path  # of downloads
    served_name: str
    model_version: str
    dtype: Dtype
    max_model_length: int | None  # tokens of prompt and answer; None: what the model was made for
    device: str
    compile: bool
    host: str
    port: int  # 0: any free one
    settings: Path | None
    pod_annotations: Path | None
    drain_timeout: float  # seconds after SIGTERM that running requests get
    redis_url: str | None  # None: jobs are kept in memory
    termination_log: Path
    log_level: str


@dataclass(frozen=True, slots=True)
class Flag:
    """One row of the table below. The default is text, as the environment's value is."""

    name: str
    help: str
    default: str | None = None
    read: Callable[[str], Any] = str
    choices: tuple[str, ...] | None = None
    metavar: str | None = None


def parse_source(text: str) -> str:
    """A model's source, as a directory's path or a uri."""
    if text.startswith("hf://"):
        if not _HUB_NAME.fullmatch(text.removeprefix("hf://")):
            raise argparse.ArgumentTypeError(f"{text!r}: a model on the hub is hf://ORG/REPO")
        return text
    scheme, separator, rest = text.partition("://")
    if scheme in REMOTE:
        if not rest.strip("/"):
            raise argparse.ArgumentTypeError(f"{text!r} names nothing; such as {SHAPES[scheme]}")
        return text
    if separator and scheme != "file":
        allowed = ", ".join(f"{known}://" for known in ("hf", "file", *REMOTE))
        raise argparse.ArgumentTypeError(f"{text!r}: the scheme {scheme!r} is unknown; allowed are {allowed}")
    path = Path(rest if separator else text).expanduser()
    if path.is_dir() or separator or text.startswith(("/", ".", "~")):
        return str(path.resolve())
    if _HUB_NAME.fullmatch(text):
        return f"hf://{text}"
    raise argparse.ArgumentTypeError(f"{text!r} is no directory, and no model on the hub (ORG/REPO)")


def default_name(source: str) -> str:
    """Return the last part of the source: the directory's or the repository's name."""
    place = Source(source)
    last = place.shown.rstrip("/").rpartition("/")[2]
    if place.is_archive:
        last = last.removesuffix(next(ending for ending in ARCHIVES if last.endswith(ending)))
    return re.sub(r"[^A-Za-z0-9_.:-]", "-", last)[:128] or "model"


def _redis_url(text: str) -> str:
    """A URL may hold a password, so no error shows it."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in REDIS_SCHEMES or not rest:
        raise argparse.ArgumentTypeError(f"a URL of {', '.join(REDIS_SCHEMES)}")
    return text


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r}: a whole number from {low} to {high}")
        return int(text)

    return read


def _switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"{text!r}: on or off")
    return text == "on"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r}: seconds, from 0 to 86400")
    return seconds


def _checksum(text: str) -> str:
    if not re.fullmatch(r"([0-9a-f]{64})?", text):
        raise argparse.ArgumentTypeError(f"{text!r}: a sha256 is 64 digits from 0 to f, in small letters")
    return text


def _label(longest: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not 1 <= len(text) <= longest or not text.isprintable():  # it goes into headers and logs
            raise argparse.ArgumentTypeError(f"{text!r}: 1 to {longest} printable characters")
        return text

    return read


FLAGS = (
    Flag(
        "model",
        "a directory with a model, or a uri: hf://ORG/REPO, file:///path, s3://BUCKET/PATH, gs://BUCKET/PATH, "
        "az://ACCOUNT/CONTAINER/PATH, https://HOST/NAME.tar.gz",
        read=parse_source,
        metavar="SOURCE",
    ),
    Flag("model-revision", "branch, tag or commit on the hub", "main"),
    Flag("model-sha256", "checksum of an archive; http(s) needs one", "", _checksum, metavar="HEX"),
    Flag(
        "cache",
        "directory for downloads that are not the hub's; servers may share it",
        "~/.cache/realtime-serve/models",
        lambda text: Path(text).expanduser(),
        metavar="DIR",
    ),
    Flag(
        "served-name",
        "what requests call the model (default: the directory's or repository's name)",
        read=_label(253),
    ),
    Flag("model-version", "your label of these weights; it is in every response", "1.0.0", _label(128)),
    Flag("dtype", "numbers' type", "auto", choices=("auto", "float32", "bfloat16", "float16")),
    Flag(
        "max-model-length",
        "tokens of prompt and answer together (default: the model's own)",
        read=_whole(8, 16_777_216),
    ),
    Flag("device", "where it runs", "auto", choices=("auto", "cpu", "cuda")),
    Flag(
        "compile",
        "on: make code for this processor of the model's layers while it loads, a minute at first; needs a C++ compiler",
        "off",
        _switch,
        metavar="{on,off}",
    ),
    Flag("host", "address to listen at", "127.0.0.1"),
    Flag("port", "port to listen at, 0 for any free one", "8000", _whole(0, 65_535)),
    Flag(
        "settings", "JSON file of settings that are followed while the server runs", read=Path, metavar="FILE"
    ),
    Flag(
        "pod-annotations",
        "file of the pod's annotations (downward API), followed for orders",
        read=Path,
        metavar="FILE",
    ),
    Flag(
        "drain-timeout", "seconds that running requests get after SIGTERM", "600", _seconds, metavar="SECONDS"
    ),
    Flag(
        "redis-url",
        "Redis that keeps jobs for every server, redis://[:PASSWORD@]HOST[:PORT][/DB] (default: this process's memory)",
        read=_redis_url,
        metavar="URL",
    ),
    Flag(
        "termination-log",
        "file for the reason of a failed start, if it exists",
        TERMINATION_LOG,
        Path,
        metavar="FILE",
    ),
    Flag("log-level", "least level that is logged", "info", choices=("debug", "info", "warning", "error")),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsInvalid(message)


def parse_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read flags, then environment variables, then defaults.

    Raises:
        SettingsInvalid: the message names the flag or variable, what was wrong and what is allowed.

    """
    parser = _make_parser()
    given = vars(parser.parse_args(_from_environment(environment) + list(arguments)))
    if given["model"] is None:
        raise SettingsInvalid(
            f"--model (or {ENVIRONMENT_PREFIX}MODEL) is needed: a directory, hf://ORG/REPO, or another uri (--help)"
        )
    if (place := Path(given["model"])).is_absolute() and not place.is_dir():
        raise SettingsInvalid(f"{NOT_FOUND}: --model: {place}: there is no such directory")
    if wrong := problem(Source(given["model"], sha256=given["model_sha256"])):
        raise SettingsInvalid(f"--model: {wrong}{CHECKSUM_FLAG if 'sha256' in wrong else ''}")
    given["served_name"] = given["served_name"] or default_name(given["model"])
    return Options(**given)


def _from_environment(environment: Mapping[str, str]) -> list[str]:
    """Set variables as flags in front of the real ones, which then win."""
    names = {flag.name: ENVIRONMENT_PREFIX + flag.name.upper().replace("-", "_") for flag in FLAGS}
    return [
        f"--{name}={environment[variable]}" for name, variable in names.items() if environment.get(variable)
    ]


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m realtime_serve",
        description="Serve a language model: batched, streamed, with OpenAI's API.",
        epilog=f"Every flag is also an environment variable: --max-model-length is {ENVIRONMENT_PREFIX}MAX_MODEL_LENGTH.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30, width=_help_width()),
        allow_abbrev=False,
    )
    for flag in FLAGS:
        shown = "" if flag.default is None else f" (default: {flag.default})"
        parser.add_argument(
            f"--{flag.name}",
            help=flag.help + shown,
            default=flag.default,
            type=flag.read,
            choices=flag.choices,
            metavar=flag.metavar,
        )
    return parser


def _help_width() -> int:
    try:
        return min(os.get_terminal_size().columns, 110)
    except OSError:
        return 110
