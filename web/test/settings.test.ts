import { expect, test } from 'vitest';
import { agentOf } from '../src/features/settings/agent';
import { auditFilterOf, auditQueryOf } from '../src/features/settings/audit';
import { bodyOfKey, fieldsOfKey, patchOfKey } from '../src/features/settings/keys';
import { bodyOfTenant, fieldsOfTenant } from '../src/features/settings/tenants';

const KEY = { id: 1, name: 'ci', user: 'ann', prefix: 'llms_abc', state: 'active' as const, scopes: ['tasks:read'], rpm: 60, allowed_models: ['m'], networks: ['10.0.0.0/8'], created_at: '', expires_at: null, revoked_at: null, last_used_at: null };

test('a key is made with what was chosen', () => {
  expect(bodyOfKey({ name: ' ci ', bundle: 'submit', life: 90 })).toEqual({ name: 'ci', scopes: ['submit'], expires_in_s: 7_776_000, rpm: null, allowed_models: null, networks: [] });
  expect(bodyOfKey({ name: 'ci', user: 'svc.1.ci', bundle: 'some', scopes: ['tasks:read'], life: 0 })).toMatchObject({ user: 'svc.1.ci', scopes: ['tasks:read'], expires_at: null });
  expect(bodyOfKey({ name: 'ci', bundle: 'all', life: -1, until: '2026-01-02T00:00:00Z' })).toMatchObject({ expires_at: '2026-01-02T00:00:00.000Z' });
});

test('what a form of a key keeps is not sent', () => {
  const sent = patchOfKey(fieldsOfKey(KEY));
  expect(sent).toEqual({ name: 'ci', rpm: 60, allowed_models: ['m'], networks: ['10.0.0.0/8'] });
});

test('a tenant comes out of its form as it went in', () => {
  const tenant = { id: 1, name: 'acme', state: 'active' as const, weight: 2, max_workers: 8, quotas: { max_queued: 5, rpm: null, model_workers: { a: 0 }, allowed_models: [] }, store_payloads: null, created_at: '', updated_at: '' };
  expect(bodyOfTenant(fieldsOfTenant(tenant))).toEqual({ name: 'acme', weight: 2, max_workers: 8, quotas: { max_queued: 5, rpm: null, model_workers: { a: 0 }, allowed_models: [] }, store_payloads: null });
});

test('half a row of a model limits nothing', () => {
  expect(bodyOfTenant({ name: 'a', weight: 1, has_models: false, store_payloads: 'none', model_workers: [{ model: 'a' }, {}] }).quotas).toEqual({ max_queued: null, rpm: null, model_workers: null, allowed_models: null });
});

test('an audit filter is read from the address, what is wrong in it passed over', () => {
  expect(auditFilterOf(new URLSearchParams('actor=ann&outcome=odd&span=9y&from=yesterday&to=2026-01-01T00:00:00Z'))).toEqual({ actor: 'ann', to: '2026-01-01T00:00:00.000Z' });
  expect(auditQueryOf({ action: 'model', span: '24h' }, Date.parse('2026-01-02T00:00:00Z'))).toEqual({ action: 'model', from: '2026-01-01T00:00:00.000Z' });
});

test('a browser is named in two words, a program as it names itself', () => {
  expect(agentOf('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36')).toBe('Chrome · Linux');
  expect(agentOf('Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0')).toBe('Edge · Windows');
  expect(agentOf('llm-scheduler/0.1.0 httpx2')).toBe('llm-scheduler/0.1.0');
});
