import { afterEach, expect, test, vi } from 'vitest';

const TOKEN = { access_token: 't1', expires_in: 900, must_change_password: false };
const answer = (status: number, body: unknown) => new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } });

/** A session of its own, and what it sends; answers come in turn. */
async function begin(...answers: Response[]) {
  vi.resetModules();
  const sent: Request[] = [];
  vi.stubGlobal('fetch', vi.fn(async (input: RequestInfo | URL, init?: RequestInit) => {
    sent.push(input instanceof Request ? input : new Request(new URL(String(input), 'http://here.test'), { ...init, credentials: undefined }));
    return answers.shift() ?? answer(500, {});
  }));
  const session = await import('../src/api/session');
  return { session, sent };
}

afterEach(() => {
  vi.unstubAllGlobals();
  sessionStorage.clear();
});

test('another tab was quicker: the new cookie is used at once', async () => {
  const { session, sent } = await begin(answer(409, { code: 'refreshed_elsewhere' }), answer(200, TOKEN));
  expect(await session.renew()).toBe(true);
  expect(sent).toHaveLength(2);
  expect(session.authHeaders()).toEqual({ Authorization: 'Bearer t1' });
});

test('a wrong password is no reason to renew, or to send it twice', async () => {
  const { session, sent } = await begin(answer(401, { code: 'wrong_credentials' }));
  session.take(TOKEN);
  const got = await session.signedFetch(new Request('http://here.test/api/v1/me/password', { method: 'POST', body: '{}' }));
  expect([got.status, sent.length]).toEqual([401, 1]);
  expect(session.authHeaders()).toEqual({ Authorization: 'Bearer t1' });
});

test('a token that does not hold any more is renewed once and the call sent again', async () => {
  const { session, sent } = await begin(answer(401, { code: 'unauthorized' }), answer(200, { ...TOKEN, access_token: 't2' }), answer(200, {}));
  session.take(TOKEN);
  expect((await session.signedFetch(new Request('http://here.test/api/v1/me'))).status).toBe(200);
  expect(sent.at(-1)?.headers.get('Authorization')).toBe('Bearer t2');
});

test('a server that is away signs nobody out', async () => {
  const { session } = await begin(answer(401, { code: 'unauthorized' }), answer(503, { code: 'store_unavailable' }));
  session.take(TOKEN);
  await session.signedFetch(new Request('http://here.test/api/v1/me'));
  expect(session.authHeaders()).toEqual({ Authorization: 'Bearer t1' });
});

test('a call that names its tenant goes there, others where the key was put', async () => {
  const { session, sent } = await begin(answer(200, {}), answer(200, {}));
  session.takeKey('k');
  await session.moveTo('acme');
  await session.signedFetch(new Request('http://here.test/a'));
  await session.signedFetch(new Request('http://here.test/b', { headers: { 'X-Tenant': 'other' } }));
  expect(sent.map((one) => one.headers.get('X-Tenant'))).toEqual(['acme', 'other']);
});
