"""`make bench [TABLES="throughput prefix"]`: each table is measured against a peer in one run and written to bench/results/."""

from __future__ import annotations

import sys

from bench import mixed, poisson, prefix, serving, streaming, throughput

TABLES = {
    "mixed": mixed.main,
    "poisson": poisson.main,
    "prefix": prefix.main,
    "serving": serving.main,
    "streaming": streaming.main,
    "throughput": throughput.main,
}


def main() -> None:
    wanted = sys.argv[1:] or list(TABLES)
    if unknown := sorted(set(wanted) - set(TABLES)):
        raise SystemExit(f"no such table: {', '.join(unknown)}; there are {', '.join(TABLES)}")
    for name in wanted:
        TABLES[name]()


if __name__ == "__main__":
    main()
