"""Speed, as ratios against a peer in one run. No number stands without its peer or its floor beside it."""
