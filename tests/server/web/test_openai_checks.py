"""The checks that users run against a server of theirs hold for ours, and they can fail."""

from __future__ import annotations

import pytest

from bench.openai_checks import limited
from bench.openai_checks.__main__ import OPEN, try_all
from bench.openai_checks.check import KEY, Subject, equal
from tests.support.echo_engine import echo_engine
from tests.support.front_end import front_end
from tests.support.tiny_tokenizers import NO_GAPS

pytestmark = pytest.mark.slow


async def test_all_of_them_pass_against_a_real_model(real_server, capsys):
    assert len(OPEN) + len(limited.check) >= 60
    bias = {str(token): bias for token, bias in NO_GAPS.items()}
    failed = await try_all(OPEN, f"http://{real_server.address}", None, KEY, bias)
    assert failed == 0, capsys.readouterr().out


async def test_those_of_keys_and_limits_pass_where_there_are_some(directory, capsys):
    async with front_end(echo_engine(directory), **limited.SETTINGS) as front:
        failed = await try_all(limited.check, front.url, None, KEY)
    assert failed == 0, capsys.readouterr().out


async def test_one_that_does_not_hold_is_told_and_counted(front, capsys):
    def two_is_three(_subject: Subject) -> None:
        equal(2, 3)

    async def there_is_no_such_model(subject: Subject) -> None:
        await subject.both.models.retrieve("gpt")

    failed = await try_all([two_is_three, there_is_no_such_model, OPEN[0]], front.url, None, KEY)
    told = capsys.readouterr().out
    assert failed == 2
    assert told.startswith("FAILED  two is three\n2, not 3\nFAILED  there is no such model\n")
    assert "no model 'gpt'" in told
    assert told.endswith("ok      models are listed\n")
