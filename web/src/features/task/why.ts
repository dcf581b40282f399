import type { TFunction } from 'i18next';
import type { ReasonShown } from '../../api/gen';

/** What a reason says beyond its name, in the reader's language. A process of the release before gives no `facts`. */
export function detailOf(t: TFunction<'task'>, { code, facts = {}, endpoint }: ReasonShown, model: string, money: (microusd: number) => string): string {
  const where = endpoint === null ? t('why.where.model', { model }) : t('why.where.endpoint', { endpoint });
  const number = (name: string) => Number(facts[name] ?? 0);
  const values = { where, task: facts.task, attempt: facts.attempt, running: facts.running, most: facts.most, strategy: facts.strategy, count: number('tasks') };
  if (code === 'budget') {
    if (facts.has_room) return t('why.detail.budgetRoom');
    if (facts.is_reckoned_anew) return t('why.detail.budgetReckoned');
    return t('why.detail.budget', { cost: money(number('cost_microusd')), budgets: facts.budgets });
  }
  if (code === 'order' && facts.more_than !== undefined) return t('why.detail.orderMany', { most: facts.more_than, strategy: facts.strategy });
  return t(`why.detail.${code}`, values);
}
