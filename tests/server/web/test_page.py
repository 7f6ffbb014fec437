"""The page at `/`, in a real browser."""

from __future__ import annotations

import json

import pytest

from tests.support.browser import browser_page
from tests.support.echo_engine import echo_engine
from tests.support.echo_process import EchoProcess
from tests.support.front_end import front_end
from tests.support.redis_server import redis_server

pytestmark = pytest.mark.slow

ENTER = {"key": "Enter", "code": "Enter", "number": 13}
CONTROL = 2
LOADED = "document.getElementById('model-name').dataset.name"


@pytest.fixture
async def browser(tmp_path):
    async with browser_page(tmp_path / "profile") as page:
        yield page


async def ask(page, prompt, *, tokens):
    fields = {"prompt": prompt, "max-tokens": tokens, "kind": "completion"}
    for name, value in fields.items():
        await page.evaluate(f"document.getElementById('{name}').value = {json.dumps(value)}")
    await page.evaluate("document.getElementById('ask').requestSubmit()")


async def texts(page):
    """The answers, the first job first."""
    return await page.evaluate(
        "Array.from(document.querySelectorAll('.job .text'), (box) => box.textContent).reverse()"
    )


async def states(page):
    return await page.evaluate(
        "Array.from(document.querySelectorAll('.job'), (job) => job.dataset.state).reverse()"
    )


async def test_its_files_come_with_a_policy_that_lets_nothing_else_in(front):
    for path, kind in {
        "/": "text/html",
        "/assets/page.js": "text/javascript",
        "/assets/page.css": "text/css",
        "/assets/icon.svg": "image/svg+xml",
    }.items():
        async with front.client.get(path) as response:
            assert (response.status, response.content_type) == (200, kind)
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            tag = response.headers["ETag"]
        async with front.client.get(path, headers={"If-None-Match": tag}) as response:
            assert response.status == 304


@pytest.mark.parametrize("name", ["page.py", "..%2fpage.py", "%2e%2e%2fsse.py", ""])
async def test_nothing_but_its_files_is_given(front, name):
    async with front.client.get(f"/assets/{name}") as response:
        assert response.status == 404


async def test_several_jobs_run_at_once_and_each_is_whole(directory, browser):
    async with front_end(echo_engine(directory, step_seconds=0.005)) as front:
        await browser.open(front.url)
        await browser.until(LOADED)
        for number in range(7):  # more than a browser has connections
            await ask(browser, f"<{number}>", tokens=200)
        await browser.until("document.querySelectorAll('[data-state=running]').length > 1")
        await browser.until("document.querySelectorAll('[data-state=complete]').length === 7")
        shown = sorted(await texts(browser))
        assert shown == [(f"<{number}>" * 100)[:200] for number in range(7)]
        footer = await browser.evaluate("document.querySelector('.job footer').textContent")
        assert "ms" in footer
        assert "tok/s" in footer
        assert "1.0.0" in footer
    assert browser.problems == []


async def test_a_job_is_cancelled_by_its_button(directory, browser):
    async with front_end(echo_engine(directory, step_seconds=0.01)) as front:
        await browser.open(front.url)
        await browser.until(LOADED)
        await ask(browser, "abc", tokens=2000)
        await browser.until("document.querySelector('[data-state=running]')")
        await browser.evaluate("document.querySelector('.cancel').click()")
        await browser.until("document.querySelector('[data-state=cancelled]')")
        await front.settle(lambda status: status["streams"]["active"] == 0)
        (text,) = await texts(browser)
        assert text == ("abc" * 700)[: len(text)]


async def test_it_works_by_keyboard_alone_and_names_everything(directory, browser):
    async with front_end(echo_engine(directory, step_seconds=0.1)) as front:
        await browser.open(front.url)
        await browser.until(LOADED)
        assert await browser.evaluate("document.activeElement.id") == "prompt"
        await browser.press(**ENTER, modifiers=CONTROL)
        await browser.until("document.querySelector('[data-state=running]')")
        nodes = (await browser.call("Accessibility.getFullAXTree"))["nodes"]
        named = {
            (node["role"]["value"], node["name"]["value"])
            for node in nodes
            if node.get("name", {}).get("value") and node.get("role")
        }
        assert {("textbox", "Prompt"), ("button", "Run"), ("button", "Cancel job 1")} <= named
        assert ("region", "Jobs") in named
        for _ in range(10):
            await browser.press("Tab", "Tab", number=9)
            if await browser.evaluate("document.activeElement.className") == "cancel":
                break
        await browser.press(**ENTER, text="\r")
        await browser.until("document.querySelector('[data-state=cancelled]')")
        await browser.until("document.getElementById('announcer').textContent.startsWith('Job 1 cancelled')")


async def test_what_the_server_refuses_is_shown(front, browser):
    await browser.open(front.url)
    await browser.until(LOADED)
    await ask(browser, "a" * 5000, tokens=10)
    await browser.until("document.querySelector('[data-state=error]')")
    assert "context length" in await browser.evaluate("document.querySelector('.message').textContent")


async def test_after_a_reload_its_jobs_are_there_again(directory, browser):
    async with front_end(echo_engine(directory, step_seconds=0.005)) as front:
        await browser.open(front.url)
        await browser.until(LOADED)
        await ask(browser, "abc", tokens=300)
        await browser.until("document.querySelector('.text').textContent.length > 20")
        await browser.open(front.url)
        await browser.until("document.querySelector('[data-state=complete]')")
        assert await texts(browser) == ["abc" * 100]


async def test_a_server_that_is_killed_and_comes_back_costs_no_token_and_doubles_none(
    directory, tmp_path, browser
):
    """One server runs the job, the page hangs on the other, which dies twice."""
    with redis_server(tmp_path) as redis:
        runs = EchoProcess(directory, step_seconds=0.01, redis_url=redis.url)
        dies = EchoProcess(directory, redis_url=redis.url)
        async with runs, dies:
            body = {"model": "chat", "prompt": "<abc>", "max_tokens": 1000, "ignore_eos": True}
            async with runs.client.post("/v1/jobs", json=body) as response:
                job_id = (await response.json())["job_id"]
            await browser.open(dies.url)
            kept = json.dumps([{"number": 1, "asked": "<abc>", "id": job_id}])
            await browser.evaluate(f"sessionStorage.setItem('realtime-serve.jobs', {json.dumps(kept)})")
            await browser.open(dies.url)
            for length in (50, 300):
                await browser.until(f"document.querySelector('.text')?.textContent.length > {length}")
                dies.kill()
                await browser.until("document.querySelector('[data-state=lost]')")
                await dies.start()
            await browser.until("document.querySelector('[data-state=complete]')")
            assert await texts(browser) == ["<abc>" * 200]


async def test_a_job_whose_server_died_goes_on_on_the_page_when_there_is_a_server_again(
    directory, tmp_path, browser
):
    with redis_server(tmp_path) as redis:
        lease = {"ECHO_LEASE_SECONDS": "1"}
        async with EchoProcess(
            directory, step_seconds=0.01, redis_url=redis.url, environment=lease
        ) as server:
            await browser.open(server.url)
            await browser.until(LOADED)
            await ask(browser, "abc", tokens=300)
            await browser.until("document.querySelector('.text')?.textContent.length > 20")
            server.kill()
            await browser.until("document.querySelector('[data-state=lost]')")
            await server.start()
            await browser.until("document.querySelector('[data-state=complete]')")
            assert await texts(browser) == ["abc" * 100]
