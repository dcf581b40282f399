import { expect, test } from 'vitest';
import { cell } from '../src/features/usage/csv';

test.each([
  ['=1+1', "'=1+1"],
  ['a,b', '"a,b"'],
  ['say "hi"', '"say ""hi"""'],
  ['plain', 'plain'],
  [-5, '-5'],
])('%s', (value, text) => expect(cell(value)).toBe(text));
