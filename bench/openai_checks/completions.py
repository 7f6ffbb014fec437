"""Models, and plain completions."""

from __future__ import annotations

from bench.openai_checks.check import GREEDY, Checks, Subject, equal, holds

check = Checks()

TWO = ("40", "41")  # ids of two tokens that every vocabulary has


@check
def models_are_listed(subject: Subject) -> None:
    holds(subject.model in [model.id for model in subject.client.models.list()], "the model is not listed")


@check
def a_model_is_found_by_its_name(subject: Subject) -> None:
    model = subject.client.models.retrieve(subject.model)
    equal((model.id, model.object), (subject.model, "model"))


@check
def a_completion_is_whole(subject: Subject) -> None:
    done = subject.say(**GREEDY)
    equal((done.object, done.model), ("text_completion", subject.model))
    equal((done.choices[0].finish_reason, len(done.choices)), ("length", 1))
    holds(done.choices[0].text, "has no text")


@check
def its_usage_adds_up(subject: Subject) -> None:
    usage = subject.say(**GREEDY).usage
    equal((usage.completion_tokens, usage.total_tokens), (24, usage.prompt_tokens + 24))


@check
def it_names_the_version_that_answered(subject: Subject) -> None:
    raw = subject.client.completions.with_raw_response.create(
        model=subject.model, prompt="Once", max_tokens=1
    )
    equal(raw.parse().system_fingerprint, f"rs-{raw.headers['X-Model-Version']}")


@check
def a_stream_has_the_text_of_the_whole(subject: Subject) -> None:
    text = "".join(chunk.choices[0].text for chunk in subject.say(**GREEDY, stream=True))
    equal(text, subject.say(**GREEDY).choices[0].text)


@check
def a_stream_ends_with_a_reason(subject: Subject) -> None:
    *chunks, last = subject.say(**GREEDY, stream=True)
    equal(last.choices[0].finish_reason, "length")
    equal({chunk.choices[0].finish_reason for chunk in chunks}, {None})


@check
def a_stream_tells_its_usage_at_the_end(subject: Subject) -> None:
    *chunks, last = subject.say(**GREEDY, stream=True, stream_options={"include_usage": True})
    equal((last.choices, last.usage.completion_tokens), ([], 24))
    equal({chunk.usage for chunk in chunks}, {None})


@check
def a_stream_tells_its_usage_all_the_time(subject: Subject) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    counts = [
        chunk.usage.completion_tokens for chunk in subject.say(**GREEDY, stream=True, stream_options=options)
    ]
    holds(counts == sorted(counts) and counts[-1] == 24, f"counts {counts}")


@check
def several_answers_are_asked_for_by_n(subject: Subject) -> None:
    done = subject.say(n=3, max_tokens=4, extra_body={"ignore_eos": True})
    equal([choice.index for choice in done.choices], [0, 1, 2])
    equal(done.usage.completion_tokens, 12)


@check
def prompts_come_in_lists(subject: Subject) -> None:
    both = subject.say(**GREEDY | {"prompt": ["Once upon", "Twice"]})
    alone = subject.say(**GREEDY)
    equal((len(both.choices), both.choices[0].text), (2, alone.choices[0].text))


@check
def prompts_are_token_ids(subject: Subject) -> None:
    equal(subject.say(prompt=[40, 41, 42], max_tokens=1).usage.prompt_tokens, 3)


@check
def echo_puts_the_prompt_before_its_answer(subject: Subject) -> None:
    answer = subject.say(**GREEDY).choices[0].text
    equal(subject.say(**GREEDY, echo=True).choices[0].text, f"Once upon{answer}")


@check
def a_stop_string_ends_the_answer_before_it(subject: Subject) -> None:
    text = subject.say(**GREEDY).choices[0].text
    stop = words_of(text)[0]
    done = subject.say(**GREEDY, stop=stop).choices[0]
    equal((done.text, done.finish_reason), (text[: text.index(stop)], "stop"))


@check
def the_first_of_several_stop_strings_counts(subject: Subject) -> None:
    text = subject.say(**GREEDY).choices[0].text
    stops = words_of(text)[-2:]
    done = subject.say(**GREEDY, stop=[*stops, "\0never\0"]).choices[0]
    equal((done.text, done.finish_reason), (text[: min(map(text.index, stops))], "stop"))


def words_of(text: str) -> list[str]:
    """Pairs of characters from the middle of a text, such that the text's borders cannot change them."""
    pairs = [text[i : i + 2] for i in range(2, len(text) - 2)]
    return [pair for pair in pairs if "\ufffd" not in pair] or pairs


@check
def a_seed_repeats_its_answer(subject: Subject) -> None:
    asked = {"temperature": 1.5, "max_tokens": 16, "extra_body": {"ignore_eos": True}}
    first, again, other = (subject.say(**asked, seed=seed).choices[0].text for seed in (1, 1, 2))
    equal(first, again)
    holds(first != other, "another seed gave the same answer")


@check
def logprobs_come_with_every_token(subject: Subject) -> None:
    logprobs = subject.say(**GREEDY, logprobs=2).choices[0].logprobs
    equal((len(logprobs.tokens), len(logprobs.token_logprobs)), (24, 24))
    holds(max(logprobs.token_logprobs) <= 0, "a logprob is above 0")
    for chosen, top in zip(logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
        holds(abs(chosen - max(top.values())) < 1e-4, "greedy did not choose the likeliest token")


@check
def a_bias_decides(subject: Subject) -> None:
    logprobs = subject.say(**GREEDY, logprobs=0, logit_bias={TWO[0]: 100}).choices[0].logprobs
    equal(len(set(logprobs.tokens)), 1)


@check
def a_penalty_makes_tokens_change(subject: Subject) -> None:
    asked = GREEDY | {"max_tokens": 60, "logit_bias": dict.fromkeys(TWO, 100), "logprobs": 0}
    plain = subject.say(**asked, frequency_penalty=-2).choices[0].logprobs.tokens
    varied = subject.say(**asked, frequency_penalty=2, presence_penalty=2).choices[0].logprobs.tokens
    equal((len(set(plain)), len(set(varied))), (1, 2))
