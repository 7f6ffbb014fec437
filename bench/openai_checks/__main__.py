"""`python -m bench.openai_checks [--url http://HOST:PORT --model NAME]`: the openai client against a server, check by check.

Without an address it starts the whole server with a tiny random model, and then tries keys and limits too.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
import tempfile
import time
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import openai

from bench.openai_checks import chat, completions, limited, refusals, side_by_side
from bench.openai_checks.check import KEY, Check, CheckFailed, Subject, name_of
from tests.support.server_process import ServerProcess
from tests.support.tiny_models import write_model
from tests.support.tiny_tokenizers import NO_GAPS

OPEN = [*completions.check, *chat.check, *refusals.check, *side_by_side.check]
PATIENCE = 30.0  # seconds until a changed settings file counts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.openai_checks", description=__doc__)
    parser.add_argument("--url", help="a server that runs, such as http://127.0.0.1:8000")
    parser.add_argument("--model", help="its model (default: the first that it lists)")
    parser.add_argument("--api-key", default=KEY)
    arguments = parser.parse_args()
    begin = time.monotonic()
    if arguments.url:
        try:
            failed = asyncio.run(try_all(OPEN, arguments.url, arguments.model, arguments.api_key))
        except openai.APIError as error:
            print(f"error: {arguments.url}: its models cannot be listed: {error}")
            return 1
        count = len(OPEN)
        print(
            f"{len(limited.check)} checks of keys and limits were not tried: they need settings of their own"
        )
    else:
        failed, count = check_our_own(), len(OPEN) + len(limited.check)
    print(f"{count - failed} passed, {failed} failed, in {time.monotonic() - begin:.1f} s")
    return 1 if failed else 0


def check_our_own() -> int:
    """Start a server and try everything; return how many failed."""
    bias = {str(token): bias for token, bias in NO_GAPS.items()}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        settings = folder / "settings.json"
        settings.write_text('{"generation": 1}')
        server = ServerProcess(write_model(folder / "model"), folder / "server.log")
        server.start("--dtype=float32", f"--settings={settings}")
        try:
            url = f"http://{server.address}"
            failed = asyncio.run(try_all(OPEN, url, server.name, KEY, bias))
            settings.write_text(json.dumps(limited.SETTINGS))
            until_settings_count(server, limited.SETTINGS["generation"])
            return failed + asyncio.run(try_all(limited.check, url, server.name, KEY, bias))
        finally:
            server.stop()


def until_settings_count(server: ServerProcess, generation: int) -> None:
    """Return when they are in force."""
    deadline = time.monotonic() + PATIENCE
    while server.get("/status")["settings_generation"] != generation:
        if time.monotonic() > deadline:
            raise CheckFailed(f"the settings do not count after {PATIENCE} s")
        time.sleep(0.05)


async def try_all(
    checks: Iterable[Check], url: str, model: str | None, key: str, bias: Mapping[str, int] = {}
) -> int:
    """Try one after the other, print a line each, return how many failed."""
    at: dict[str, Any] = {"base_url": f"{url.rstrip('/')}/v1", "api_key": key, "max_retries": 0}
    async with openai.AsyncOpenAI(**at) as both:
        with openai.OpenAI(**at) as client:
            name = model or (await both.models.list()).data[0].id
            subject = Subject(url.rstrip("/"), name, client, both, bias)
            return sum([await fails(check, subject) for check in checks])


async def fails(check: Check, subject: Subject) -> bool:
    """Try one and print its line; where it fails, also why."""
    try:
        if inspect.iscoroutinefunction(check):
            await check(subject)
        else:
            await asyncio.to_thread(check, subject)
    except Exception as error:  # noqa: BLE001  each check is told of, whatever it raises
        print(f"FAILED  {name_of(check)}")
        print(str(error) if isinstance(error, CheckFailed) else traceback.format_exc(), flush=True)
        return True
    print(f"ok      {name_of(check)}", flush=True)
    return False


if __name__ == "__main__":
    raise SystemExit(main())
