import i18next from 'i18next';
import { expect, test } from 'vitest';
import type { ReasonShown } from '../src/api/gen';
import { detailOf } from '../src/features/task/why';
import en from '../src/locales/en/task.json';
import zh from '../src/locales/zh/task.json';

const facts: Partial<Record<ReasonShown['code'], ReasonShown['facts'][]>> = {
  dependency: [{ task: 7 }],
  retry: [{ attempt: 2 }],
  budget: [{ cost_microusd: 1_500_000, budgets: 'team' }, { has_room: true }, { is_reckoned_anew: true }],
  tenant_limit: [{ running: 3, most: 3 }],
  priority: [{ tasks: 1 }, { tasks: 4 }],
  order: [{ tasks: 4, strategy: 'fifo' }, { more_than: 1000, strategy: 'fifo' }],
  tenant_share: [{ tasks: 4, strategy: 'fair' }],
};

test.each(['en', 'zh'])('every reason has its words in %s, with all that they name', async (lng) => {
  const said = i18next.createInstance();
  await said.init({ lng, resources: { en: { task: en }, zh: { task: zh } }, defaultNS: 'task', interpolation: { escapeValue: false } } as never);
  for (const code of Object.keys(en.why.reason) as ReasonShown['code'][])
    for (const one of facts[code] ?? [{}])
      for (const endpoint of [null, 'eu']) {
        const words = detailOf(said.t as never, { code, detail: '', facts: one, until: null, endpoint }, 'small', (cost) => `$${cost / 1e6}`);
        expect(words, code).not.toMatch(/\{\{|why\.|undefined/);
        for (const fact of Object.values(one)) if (fact === 'team' || typeof fact === 'number') expect(words).toContain(fact === 1_500_000 ? '$1.5' : String(fact));
      }
  expect(detailOf(said.t as never, { code: 'paused', detail: '', facts: {}, until: null, endpoint: 'eu' }, 'small', String)).toContain('eu');
});
