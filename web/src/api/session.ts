import { useSyncExternalStore } from 'react';
import { basename } from '../app/base';
import type { ProblemAnswer, SignedInShown } from './gen/types.gen';
import { ApiProblem } from './problem';

/**
 * Who is signed in. An access token lives in memory only; the refresh token is in a cookie that scripts cannot read.
 * Somebody who signs in with an API key keeps it for this tab.
 */
export type Session = { kind: 'none' } | { kind: 'token'; token: string; until: number; mustChangePassword: boolean } | { kind: 'key'; key: string };

export type TokenAnswer = Pick<SignedInShown, 'access_token' | 'expires_in' | 'must_change_password'>;

const KEY = 'llms.key';
const TENANT = 'llms.tenant';
const EARLY_MS = 30_000;
/** Answers that say something of a password or code that was sent, not of who is signed in. */
const OF_A_PROOF = new Set(['wrong_credentials', 'wrong_totp', 'totp_required']);

let session: Session = { kind: 'none' };
let refreshing: Promise<boolean> | undefined;
const listeners = new Set<() => void>();

function become(next: Session) {
  session = next;
  listeners.forEach((tell) => tell());
}

export const useSession = () =>
  useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => session,
  );

export const currentTenant = () => sessionStorage.getItem(TENANT) ?? undefined;

export function chooseTenant(name: string | undefined) {
  if (name === undefined) sessionStorage.removeItem(TENANT);
  else sessionStorage.setItem(TENANT, name);
}

const csrf = () => /(?:^|; )llms_csrf=([^;]*)/.exec(document.cookie)?.[1];

/** A call of the sign-in API: cookies go along, errors come as problems. */
export async function authCall<T>(path: string, body?: unknown): Promise<T> {
  const token = csrf();
  const answer = await fetch(`${basename}/api/v1/auth/${path}`, {
    method: 'POST',
    credentials: 'same-origin',
    headers: { 'Content-Type': 'application/json', ...(token ? { 'X-CSRF-Token': decodeURIComponent(token) } : {}) },
    body: JSON.stringify(body ?? {}),
  }).catch((error: unknown) => {
    throw new ApiProblem(0, { detail: String(error) });
  });
  const text = await answer.text();
  const value: unknown = text ? JSON.parse(text) : undefined;
  if (!answer.ok) throw new ApiProblem(answer.status, value as ProblemAnswer, answer.headers.get('Retry-After'));
  return value as T;
}

export function take(answer: TokenAnswer) {
  become({ kind: 'token', token: answer.access_token, until: Date.now() + answer.expires_in * 1000, mustChangePassword: answer.must_change_password });
}

export function takeKey(key: string) {
  sessionStorage.setItem(KEY, key);
  become({ kind: 'key', key });
}

export function forget() {
  sessionStorage.removeItem(KEY);
  chooseTenant(undefined);
  become({ kind: 'none' });
}

export async function signOut() {
  if (session.kind === 'token') await authCall('logout').catch(() => undefined);
  forget();
}

/** Asks for new tokens; once more when another tab was quicker: the cookie is new by then. */
async function askAnew(tenant?: string): Promise<TokenAnswer> {
  const send = () => authCall<TokenAnswer>('refresh', tenant === undefined ? {} : { tenant });
  try {
    return await send();
  } catch (error) {
    if (error instanceof ApiProblem && error.code === 'refreshed_elsewhere') return send();
    throw error;
  }
}

/** A new access token by the cookie; false where there is none that holds. Once for all who ask together. */
export function renew(): Promise<boolean> {
  refreshing ??= askAnew()
    .then((answer) => (take(answer), true))
    .catch((error: unknown) => {
      // Not reachable is not signed out.
      if (error instanceof ApiProblem && (error.status === 401 || error.status === 403)) forget();
      return false;
    })
    .finally(() => (refreshing = undefined));
  return refreshing;
}

/** Acts in another tenant from now on: a sign-in moves there itself, a key says it with each request. */
export async function moveTo(tenant: string) {
  if (session.kind !== 'token') return chooseTenant(tenant);
  await refreshing;
  take(await askAnew(tenant));
}

/** What is left of an earlier visit. */
export async function resume() {
  const key = sessionStorage.getItem(KEY);
  if (key) become({ kind: 'key', key });
  else if (csrf()) await renew();
}

export function authHeaders(): Record<string, string> {
  const tenant = currentTenant();
  const chosen: Record<string, string> = tenant ? { 'X-Tenant': encodeURIComponent(tenant) } : {};
  if (session.kind === 'token') return { Authorization: `Bearer ${session.token}`, ...chosen };
  if (session.kind === 'key') return { Authorization: `Bearer ${session.key}`, ...chosen };
  return {};
}

/** `fetch` as whoever is signed in: renews the token before it ends, and once more when it is refused. */
export async function signedFetch(input: Request): Promise<Response> {
  if (session.kind === 'token' && session.until - Date.now() < EARLY_MS) await renew();
  const send = () => {
    const request = input.clone();
    // A request that names its tenant itself goes there.
    for (const [name, value] of Object.entries(authHeaders())) if (name !== 'X-Tenant' || !request.headers.has(name)) request.headers.set(name, value);
    return fetch(request);
  };
  const answer = await send();
  if (answer.status !== 401) return answer;
  const { code } = (await answer.clone().json().catch(() => ({}))) as { code?: string };
  if (code && OF_A_PROOF.has(code)) return answer;
  if (session.kind === 'token') return (await renew()) ? send() : answer;
  if (session.kind !== 'none') forget();
  return answer;
}
