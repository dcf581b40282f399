import { expect, test } from 'vitest';
import type { TaskShown } from '../src/api/tasks';
import { causesOf } from '../src/features/dead/causes';

const dead = (id: number, code: string, at: string) => ({ id, model: 'm', error: { code, message: `${code} ${id}`, http_status: 500, retryable: true }, dead_reason: 'retries_exhausted', completed_at: at, updated_at: at }) as unknown as TaskShown;

test('alike ones stand together, the commonest first, with the last words', () => {
  const found = causesOf([dead(1, 'a', '2026-01-01'), dead(2, 'b', '2026-01-03'), dead(3, 'b', '2026-01-02')]);
  expect(found.map(({ code, ids, message }) => [code, ids, message])).toEqual([['b', [2, 3], 'b 2'], ['a', [1], 'a 1']]);
});
