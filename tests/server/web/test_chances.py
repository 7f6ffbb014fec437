"""Log probabilities as the client of completions reads them: by the text of tokens."""

from realtime_serve.generation.request import Chance, TokenChances
from realtime_serve.text.pieces import Piece
from realtime_serve.web.openai.chances import completion_logprobs

HALF, OTHER_HALF = Piece("\ufffd", b"\xe2"), Piece("\ufffd", b"\xc3")


def test_of_tokens_with_one_text_the_likeliest_counts():
    likeliest, next_one, last = Chance(HALF, -0.5), Chance(Piece("a", b"a"), -1.0), Chance(OTHER_HALF, -2.0)
    token = TokenChances(likeliest, (likeliest, next_one, last))
    (top,) = completion_logprobs([token], 0)["top_logprobs"]
    assert list(top.items()) == [("\ufffd", -0.5), ("a", -1.0)]
