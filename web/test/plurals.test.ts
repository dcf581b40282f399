import i18next from 'i18next';
import { expect, test } from 'vitest';

type Words = { [key: string]: string | Words };
const files = import.meta.glob<Words>('../src/locales/*/*.json', { eager: true, import: 'default' });
const of = (language: string) => Object.entries(files).filter(([path]) => path.includes(`/${language}/`));

function* leaves(words: Words, before = ''): Generator<[string, string]> {
  for (const [key, value] of Object.entries(words))
    if (typeof value === 'string') yield [before + key, value];
    else yield* leaves(value, `${before}${key}.`);
}

test('English counts in the singular, too', () => {
  const lonely = of('en').flatMap(([path, words]) => [...leaves(words)].filter(([key, text]) => /\{\{(count|n)\}\} [a-z]{2,}s\b/.test(text) && !/_(one|other)$/.test(key)).map(([key]) => `${path} ${key}`));
  expect(lonely).toEqual([]);
});

test('one is not many in English, and no different in Chinese', async () => {
  const resources = Object.fromEntries(['en', 'zh'].map((language) => [language, { workers: of(language).find(([path]) => path.endsWith('/workers.json'))?.[1] ?? {} }]));
  const said = i18next.createInstance();
  await said.init({ lng: 'en', resources, defaultNS: 'workers', interpolation: { escapeValue: false } } as never);
  const say = said.t as unknown as (key: string, values: object) => string;
  const both = (count: number) => `${say('processes', { count, n: String(count) })} · ${say('calls', { count, n: String(count) })}`;

  expect([both(1), both(2), both(0)]).toEqual(['1 process · 1 call running', '2 processes · 2 calls running', '0 processes · 0 calls running']);
  await said.changeLanguage('zh');
  expect(both(1)).toBe('1 个进程 · 正在运行 1 个调用');
});

test('both languages fill in the same fields', () => {
  const fields = (language: string) =>
    Object.fromEntries(of(language).flatMap(([path, words]) => [...leaves(words)].filter(([key]) => !key.endsWith('_one')).map(([key, text]) => [`${path.split('/').at(-1)} ${key}`, [...new Set(text.match(/\{\{\w+\}\}/g))].sort().join()])));
  expect(fields('zh')).toEqual(fields('en'));
});
