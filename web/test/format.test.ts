import { expect, test } from 'vitest';
import { parseEvents } from '../src/api/stream';
import { dollars, span } from '../src/components/format';

test.each([
  [0, '$0.00'],
  [1_234_560_000, '$1,234.56'],
  [12_345, '$0.0123'],
  [7, '$0.000007'],
])('%i micro-USD are %s', (microusd, text) => expect(dollars(microusd)).toBe(text));

test.each([
  [12, 'ms', '12'],
  [1_500, 's', '1.5'],
  [42_000, 's', '42'],
  [90_000, 'min', '1.5'],
  [7_200_000, 'h', '2.0'],
  [172_800_000, 'd', '2.0'],
])('%i ms', (ms, unit, n) => expect(span(ms)).toEqual({ n, unit }));

test('events are whole ones; the rest waits', () => {
  const { events, rest } = parseEvents(': hi\n\nevent: delta\ndata: {"text":"a"}\n\nevent: done\nda');
  expect(events).toEqual([{ event: 'delta', data: { text: 'a' } }]);
  expect(rest).toBe('event: done\nda');
});
