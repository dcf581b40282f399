import { basename } from '../app/base';
import type { ProblemAnswer } from './gen/types.gen';
import { ApiProblem } from './problem';
import { signedFetch } from './session';

export type ServerEvent = { event: string; data: unknown };

/** Splits a text of server-sent events; what is not whole yet is given back. */
export function parseEvents(text: string): { events: ServerEvent[]; rest: string } {
  const events: ServerEvent[] = [];
  const parts = text.split('\n\n');
  const rest = parts.pop() ?? '';
  for (const part of parts) {
    let event = 'message';
    let data = '';
    for (const line of part.split('\n')) {
      if (line.startsWith('event:')) event = line.slice(6).trim();
      else if (line.startsWith('data:')) data += line.slice(5).trimStart();
    }
    if (data) events.push({ event, data: data === '[DONE]' ? data : JSON.parse(data) });
  }
  return { events, rest };
}

/** Server-sent events of a path as whoever is signed in (`EventSource` sends no headers). Ends with the answer. */
export async function* stream(path: string, init: RequestInit = {}): AsyncGenerator<ServerEvent> {
  const request = new Request(basename + path, { ...init, headers: { Accept: 'text/event-stream', ...init.headers } });
  const answer = await signedFetch(request);
  if (!answer.ok || !answer.body) {
    const problem = (await answer.json().catch(() => undefined)) as ProblemAnswer | undefined;
    throw new ApiProblem(answer.status, problem, answer.headers.get('Retry-After'));
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const { events, rest } = parseEvents(held + value);
      held = rest;
      yield* events;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
