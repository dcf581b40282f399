import type { TaskBody } from '../../api/gen';

/** For a shell: in single quotes, whatever is inside. */
export const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The call that the playground makes, for a terminal. */
export function curlOf(origin: string, order: TaskBody): string {
  return [
    `curl -s ${quoted(`${origin}/api/v1/tasks?wait=60`)} \\`,
    '  -H "Authorization: Bearer $LLMS_API_KEY" \\',
    "  -H 'Content-Type: application/json' \\",
    `  -d ${quoted(JSON.stringify(order, null, 2))}`,
  ].join('\n');
}

function python(value: unknown, depth = 1): string {
  const pad = '    '.repeat(depth);
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (Array.isArray(value)) return value.length ? `[\n${value.map((one) => `${pad}    ${python(one, depth + 1)},\n`).join('')}${pad}]` : '[]';
  if (typeof value === 'object') {
    const entries = Object.entries(value as object);
    return entries.length ? `{\n${entries.map(([key, one]) => `${pad}    ${JSON.stringify(key)}: ${python(one, depth + 1)},\n`).join('')}${pad}}` : '{}';
  }
  return JSON.stringify(value);
}

export function pythonOf(origin: string, order: TaskBody): string {
  return `import os

import httpx

answer = httpx.post(
    "${origin}/api/v1/tasks",
    params={"wait": 60},
    headers={"Authorization": f"Bearer {os.environ['LLMS_API_KEY']}"},
    json=${python(order)},
    timeout=70,
)
answer.raise_for_status()
task = answer.json()
print(task["status"], task["output"] and task["output"]["text"])`;
}

/** By OpenAI's own client: its words stand as they are, ours go beside them. */
export function openaiOf(origin: string, order: TaskBody): string {
  const said: Record<string, unknown> = { model: order.model, ...(order.input as Record<string, unknown>), stream: true };
  if (order.priority !== undefined && order.priority !== null) said.extra_body = { priority: order.priority };
  const lines = Object.entries(said).map(([name, value]) => `    ${name}=${python(value)},\n`).join('');
  return `import os

from openai import OpenAI

client = OpenAI(base_url="${origin}/v1", api_key=os.environ["LLMS_API_KEY"])
stream = client.chat.completions.create(
${lines})
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()`;
}

export function cliOf(origin: string, order: TaskBody): string {
  const messages = (order.input as { messages?: { role: string; content: string }[] }).messages ?? [];
  const last = messages.at(-1)?.content ?? '';
  return `LLMS_URL=${origin} llms submit ${quoted(order.model)} ${quoted(last)} --priority ${order.priority ?? 'medium'} --wait`;
}
