import { expect, test } from 'vitest';
import { bodyOf, createdBounds, filterOf, paramsOf, queryOf } from '../src/features/tasks/filter';

test('a filter survives the address bar', () => {
  const filter = { status: ['failed' as const, 'held' as const], model: 'a/b', q: 'no route', metadata: 'run=42', created: '24h' };
  expect(filterOf(new URLSearchParams(paramsOf(filter).toString()))).toEqual(filter);
});

test('what the address bar says wrong is passed over', () => {
  expect(filterOf(new URLSearchParams('status=odd&status=failed&model='))).toEqual({ status: ['failed'] });
});

test('spans count back from now, instants are taken as they are', () => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  expect(createdBounds('24h', now)).toEqual({ created_after: '2026-01-01T00:00:00.000Z' });
  expect(createdBounds('2026-01-01T00:00:00Z..2026-01-02T00:00:00Z')).toEqual({ created_after: '2026-01-01T00:00:00Z', created_before: '2026-01-02T00:00:00Z' });
});

test('metadata goes by key, in queries and bodies', () => {
  expect(queryOf({ metadata: 'run=a=b' })).toEqual({ 'metadata.run': 'a=b' });
  expect(bodyOf({ metadata: 'run=a=b', priority: '3' })).toEqual({ metadata: { run: 'a=b' }, priority: 3 });
});
