import { basename } from '../app/base';
import type { ProblemAnswer } from './gen/types.gen';
import { ApiProblem } from './problem';
import { signedFetch } from './session';

type Picker = { showSaveFilePicker?: (options: { suggestedName: string }) => Promise<{ createWritable: () => Promise<WritableStream> }> };

export function queryString(query: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined && one !== null) params.append(name, String(one));
  return params.toString();
}

/** A streamed answer into a file: straight to disk where the browser can, else gathered first. */
export async function download(path: string, query: Record<string, unknown>, name: string) {
  const picker = (window as Picker).showSaveFilePicker;
  const target = isSecureContext && picker && !navigator.webdriver ? await picker({ suggestedName: name }).catch(() => null) : undefined;
  if (target === null) return;
  const answer = await signedFetch(new Request(`${basename}${path}?${queryString(query)}`));
  if (!answer.ok || !answer.body) {
    const problem = (await answer.json().catch(() => undefined)) as ProblemAnswer | undefined;
    throw new ApiProblem(answer.status, problem, answer.headers.get('Retry-After'));
  }
  if (target) return answer.body.pipeTo(await target.createWritable());
  const address = URL.createObjectURL(await answer.blob());
  const link = Object.assign(document.createElement('a'), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
