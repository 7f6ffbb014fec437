#!/usr/bin/env bash
# Resolves the ranges of pyproject.toml to exact versions. No URL goes into the file.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${RTS_CACHE:-$HOME/.cache/realtime-serve}/uv/bin/uv
header="# Exact versions that CI runs; renew with 'make constraints'."
resolved=$("$uv" pip compile --quiet pyproject.toml --all-extras --upgrade --no-header --no-annotate \
  --no-emit-index-url --python-version 3.11)
printf '%s\n%s\n' "$header" "$resolved" > constraints.txt
