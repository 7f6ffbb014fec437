"""From logits to the next token of each row.

A draw takes one number in [0, 1), made from the sequence's seed and the token's position, and looks up the token where the
probabilities added up reach it. So a seed gives the same tokens in any company, and no row needs noise over the vocabulary.
"""

from __future__ import annotations

import torch

from realtime_serve.engine.batch import Result, Row
from realtime_serve.engine.grammar import Grammars
from realtime_serve.engine.messages import Sampling, TokenLogprob
from realtime_serve.model.largest import largest
from realtime_serve.model.masks import Masks, read_masks
from realtime_serve.model.penalties import adjust, adjusts
from realtime_serve.model.slots import COLDEST, SEED_FACTOR

CANDIDATES = 128
"""Likeliest tokens among which top_p is looked for first. Rows whose candidates do not reach it are looked at again with
`WIDER` times as many: the whole vocabulary is sorted for the flattest of distributions only."""
WIDER = 16
MASK64 = (1 << 64) - 1
FIRST_FACTOR, SECOND_FACTOR = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
NOT_FINITE = "the model's output is not finite (NaN or infinity)"
NONE_LEFT = "the model's output rules out every token that the response_format allows"


def sample(logits: torch.Tensor, rows: list[Row], grammars: Grammars | None = None) -> list[Result]:
    """[rows, vocabulary] → a result for each row.

    A row whose logits are not finite, or whose grammar is broken, gets an error, and no other does.
    """
    best, tokens = largest(logits)
    finite = torch.isfinite(best).tolist()
    masks = read_masks(rows, grammars, logits.shape[-1])
    adjusted = [place for place, row in enumerate(rows) if adjusts(row.sequence) or place in masks.allowed]
    drawn = [place for place, row in enumerate(rows) if row.sampling.temperature > 0]
    if changed := sorted({*adjusted, *drawn}):
        tokens[changed] = choose(logits, rows, changed, adjusted, masks)
    chosen = tokens.tolist()
    thoughts = look_up(logits, rows, chosen)
    errors = [
        trouble(place, token, masks) if ok else NOT_FINITE
        for place, (token, ok) in enumerate(zip(chosen, finite, strict=True))
    ]
    return [
        Result(error=error) if error else Result(token, logprob=thoughts.get(place))
        for place, (token, error) in enumerate(zip(chosen, errors, strict=True))
    ]


def trouble(place: int, token: int, masks: Masks) -> str:
    """Why the row at this place cannot go on; empty when it can."""
    if place in masks.allowed and not masks.allowed[place][token]:
        return NONE_LEFT
    return masks.errors.get(place, "")


def choose(
    logits: torch.Tensor, rows: list[Row], places: list[int], adjusted: list[int], masks: Masks
) -> torch.Tensor:
    """The tokens of the rows at `places`, for which the largest logit is not simply taken."""
    own = (logits if len(places) == len(rows) else logits[places]).to(torch.float32, copy=True)
    order = {place: column for column, place in enumerate(places)}
    for place in adjusted:
        adjust(own[order[place]], rows[place].sequence)
    for place, allowed in masks.allowed.items():
        own[order[place]].masked_fill_(~allowed.to(own.device), float("-inf"))
    drawn = [column for place, column in order.items() if rows[place].sampling.temperature > 0]
    if len(drawn) == len(places):
        return draw(own, [rows[place] for place in places])
    _, tokens = largest(own)
    if drawn:
        tokens[drawn] = draw(own[drawn], [rows[places[column]] for column in drawn])
    return tokens


def draw(logits: torch.Tensor, rows: list[Row]) -> torch.Tensor:
    """[rows, vocabulary], overwritten → [rows]: one token by chance for each row."""
    temperatures = [max(COLDEST, row.sampling.temperature) for row in rows]
    weights = torch.softmax(logits.div_(torch.tensor(temperatures, device=logits.device)[:, None]), dim=-1)
    chances = torch.tensor([chance(row.sequence.seed, row.end) for row in rows], device=logits.device)
    filtered = [place for place, row in enumerate(rows) if is_filtered(row.sampling, logits.shape[-1])]
    drop_unlikely(weights, [row.sampling for row in rows])
    samplings = [rows[place].sampling for place in filtered]
    if len(filtered) == len(rows):
        return pick_likely(weights, chances, samplings)
    tokens = pick(weights, chances)
    if filtered:
        tokens[filtered] = pick_likely(weights[filtered], chances[filtered], samplings)
    return tokens


def drop_unlikely(weights: torch.Tensor, samplings: list[Sampling]) -> None:
    """min_p, in place: what is left adds up to 1 again."""
    places = [place for place, sampling in enumerate(samplings) if sampling.min_p > 0]
    if not places:
        return
    shares = torch.tensor([samplings[place].min_p for place in places], device=weights.device)[:, None]
    found = weights[places]
    found.masked_fill_(found < shares * found.amax(dim=-1, keepdim=True), 0.0)
    weights[places] = found / found.sum(dim=-1, keepdim=True)


def look_up(logits: torch.Tensor, rows: list[Row], tokens: list[int]) -> dict[int, TokenLogprob]:
    """By place, for the rows that ask: of the model's own distribution."""
    places = [place for place, row in enumerate(rows) if row.sampling.logprobs >= 0]
    if not places:
        return {}
    logprobs = torch.log_softmax(logits[places].to(torch.float32), dim=-1)
    most = max(rows[place].sampling.logprobs for place in places)
    top = logprobs.topk(min(most, logprobs.shape[-1]))
    likely = [
        list(zip(*pair, strict=True)) for pair in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    ]
    return {
        place: TokenLogprob(
            float(logprobs[column, tokens[place]]), likely[column][: rows[place].sampling.logprobs]
        )
        for column, place in enumerate(places)
    }


def pick(weights: torch.Tensor, chances: torch.Tensor) -> torch.Tensor:
    """The first column of each row where the weights added up exceed the row's share of their sum."""
    sums = weights.cumsum(dim=-1)
    places = torch.searchsorted(sums, (chances * sums[:, -1])[:, None], right=True)[:, 0]
    return places.clamp_(max=weights.shape[-1] - 1)


def pick_likely(
    weights: torch.Tensor, chances: torch.Tensor, samplings: list[Sampling], candidates: int = CANDIDATES
) -> torch.Tensor:
    """The same among the top_k likeliest, of those among the likeliest that reach top_p."""
    vocabulary = weights.shape[-1]
    tops = [s.top_k if 0 < s.top_k < vocabulary else vocabulary for s in samplings]
    count = min(vocabulary, max(candidates, *(top for top in tops if top < vocabulary), 0))
    likely, tokens = weights.topk(count)
    limits = torch.tensor(tops, device=weights.device)[:, None]
    likely = likely.masked_fill(torch.arange(count, device=weights.device) >= limits, 0.0)
    sums = likely.cumsum(dim=-1)
    among = torch.where(limits < vocabulary, sums[:, -1:], 1.0)
    wanted = among * torch.tensor([s.top_p for s in samplings], device=weights.device)[:, None]
    kept = likely.masked_fill(sums - likely >= wanted, 0.0)
    kept[:, 0] = likely[:, 0]  # whatever top_p is, one is left
    chosen = tokens.gather(1, pick(kept, chances)[:, None])[:, 0]
    short = (sums[:, -1:] < wanted)[:, 0].nonzero()[:, 0].tolist()
    if short and count < vocabulary:
        again = [samplings[place] for place in short]
        chosen[short] = pick_likely(weights[short], chances[short], again, candidates * WIDER)
    return chosen


def is_filtered(sampling: Sampling, vocabulary: int) -> bool:
    return sampling.top_p < 1.0 or 0 < sampling.top_k < vocabulary


def chance(seed: int, position: int) -> float:
    """A number in [0, 1) from both, well spread (splitmix64's finaliser); 23 bits, so that float32 has it exactly."""
    value = (seed * SEED_FACTOR + position * FIRST_FACTOR) & MASK64
    value = ((value ^ (value >> 30)) * FIRST_FACTOR) & MASK64
    value = ((value ^ (value >> 27)) * SECOND_FACTOR) & MASK64
    return float((value ^ (value >> 31)) >> 41) / 2**23
