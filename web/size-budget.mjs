// Gzip size that a browser fetches for the first paint of each route, from Vite's manifest; exits 1 over a bar.
// Usage: node size-budget.mjs [DIST]
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const SHELL_KIB = 260;
const ROUTE_KIB = 500;
const HEAVY = /charts|flow/;

const dist = process.argv[2] ?? '../src/llm_scheduler/_web';
const manifest = JSON.parse(readFileSync(join(dist, '.vite/manifest.json'), 'utf8'));
const sizes = new Map();

function size(file) {
  if (!sizes.has(file)) sizes.set(file, gzipSync(readFileSync(join(dist, file)), { level: 9 }).length);
  return sizes.get(file);
}

/** Every file that an entry of the manifest needs before it runs. */
function needed(key, files = new Set(), seen = new Set()) {
  if (seen.has(key)) return files;
  seen.add(key);
  const chunk = manifest[key];
  files.add(chunk.file);
  chunk.css?.forEach((file) => files.add(file));
  chunk.imports?.forEach((next) => needed(next, files, seen));
  return files;
}

const kib = (files) => [...files].reduce((sum, file) => sum + size(file), 0) / 1024;
const shell = needed(Object.keys(manifest).find((key) => manifest[key].isEntry));
const faults = [];

console.log(`shell ${kib(shell).toFixed(1).padStart(30)} KiB gz (at most ${SHELL_KIB})`);
if (kib(shell) > SHELL_KIB) faults.push(`the shell is over ${SHELL_KIB} KiB`);
for (const file of shell) if (HEAVY.test(file)) faults.push(`${file} is in the shell`);
for (const key of Object.keys(manifest).filter((key) => manifest[key].isDynamicEntry && key.startsWith('src/pages/'))) {
  const total = kib(new Set([...shell, ...needed(key)]));
  console.log(`${key.replace('src/pages/', '').padEnd(26)} +${(total - kib(shell)).toFixed(1).padStart(6)} = ${total.toFixed(1).padStart(6)} KiB gz`);
  if (total > ROUTE_KIB) faults.push(`${key} is over ${ROUTE_KIB} KiB`);
}
for (const fault of faults) console.error(`over budget: ${fault}`);
process.exit(faults.length ? 1 : 0);
