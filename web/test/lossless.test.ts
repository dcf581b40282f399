import { expect, test } from 'vitest';
import { member, prettyJson } from '../src/features/task/lossless';

test('large integers keep every digit', () => {
  expect(prettyJson('{"id":12345678901234567890,"a":[1,2],"e":{},"s":"x:{,}\\"y"}')).toBe(
    '{\n  "id": 12345678901234567890,\n  "a": [\n    1,\n    2\n  ],\n  "e": {},\n  "s": "x:{,}\\"y"\n}',
  );
});

test('what is pretty means the same', () => {
  const value = { a: [1, { b: 'c "d" \\ e' }, [], {}], f: null, g: true };
  expect(JSON.parse(prettyJson(JSON.stringify(value)))).toEqual(value);
});

test('a member is cut out of the text as it stands', () => {
  const text = '{"id": 1, "input": {"seed": 98765432109876543210, "input": 2}, "output": null}';
  expect(member(text, 'input')).toBe('{"seed": 98765432109876543210, "input": 2}');
  expect(member(text, 'output')).toBe('null');
  expect(member(text, 'none')).toBeUndefined();
});
