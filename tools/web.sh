#!/usr/bin/env bash
# Build the dashboard into the package, if anything that it is made of is newer; with `check` also look it over.
set -euo pipefail
cd "$(dirname "$0")/.."
# Node trusts what the machine trusts.
export NODE_USE_SYSTEM_CA=1
export PATH="$PWD/.venv/bin:$PATH" npm_config_update_notifier=false npm_config_loglevel=error
built=src/llm_scheduler/_web/index.html
done_mark=web/node_modules/.installed

sources() { find web/src web/public web/index.html web/package.json web/vite.config.ts docs/openapi.json -newer "$1" -print -quit; }
# What a step has to say is shown only if it fails.
npm_quiet() {
  local said
  said=$(cd web && npm "$@" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
}

if [ ! -e "$done_mark" ] || [ web/package-lock.json -nt "$done_mark" ]; then
  echo "setup: installing the dashboard's packages"
  npm_quiet ci --no-audit --no-fund --ignore-scripts
  touch "$done_mark"
fi
if [ ! -e "$built" ] || [ -n "$(sources "$built")" ]; then
  echo "setup: building the dashboard"
  npm_quiet run --silent gen
  npm_quiet run --silent build
  touch "$built"
fi
if [ "${1:-}" = check ]; then
  npm_quiet run --silent typecheck
  npm_quiet run --silent lint
  npm_quiet run --silent budget
  npm_quiet run --silent test
fi
