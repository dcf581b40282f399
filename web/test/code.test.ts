import { expect, test } from 'vitest';
import { cliOf, curlOf, openaiOf, pythonOf, quoted } from '../src/features/playground/code';

const order = { model: 'm', input: { messages: [{ role: 'user', content: "it's $HOME" }], temperature: 0.5, stream: false, stop: null } };

test('quotes hold in a shell', () => expect(quoted("it's")).toBe(`'it'\\''s'`));

test('curl sends what the playground sends', () => {
  const text = curlOf('http://h', order);
  expect(text).toContain("'http://h/api/v1/tasks?wait=60'");
  expect(text).toContain(`it'\\''s $HOME`);
});

test('Python has its own words for nothing and no', () => {
  const text = pythonOf('http://h', order);
  expect(text).toContain('"stream": False');
  expect(text).toContain('"stop": None');
});

test('the command line sends the last message', () => expect(cliOf('http://h', order)).toContain(`llms submit 'm' 'it'\\''s $HOME'`));

test("OpenAI's client gets our words beside its own", () => {
  const text = openaiOf('http://h/llm', { ...order, priority: 'high' });
  expect(text).toContain('base_url="http://h/llm/v1"');
  expect(text).toContain('    temperature=0.5,\n    stream=True,\n    stop=None,\n    extra_body={');
  expect(text).toContain('"priority": "high"');
  expect(text.match(/stream=/g)).toHaveLength(1);
});
