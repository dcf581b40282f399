#!/usr/bin/env bash
# Lighthouse's marks for Overview and Tasks. It is installed for this run alone, or taken from the folder that is given.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" npm_config_update_notifier=false npm_config_loglevel=error
folder="${1:-}"
if [ -z "$folder" ]; then
  folder="$(mktemp -d)"
  trap 'rm -rf "$folder"' EXIT
fi
if [ ! -x "$folder/node_modules/.bin/lighthouse" ]; then
  npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --silent lighthouse@12
fi
python -m tools.lighthouse "$folder/node_modules/.bin/lighthouse"
