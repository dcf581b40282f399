import type { TFunction } from 'i18next';
import type { ReasonShown } from '../../api/gen';

/** What a reason says beyond its name, in the reader's language; of a process that gives no `facts` yet in its own words. */
export function detailOf(t: TFunction<'task'>, { code, facts, endpoint, detail }: ReasonShown, model: string, money: (microusd: number) => string): string {
  if (facts === undefined) return detail;
  const values = {
    ...facts,
    where: endpoint === null ? t('why.where.model', { model }) : t('why.where.endpoint', { endpoint }),
    count: Number(facts.tasks ?? 0),
    cost: money(Number(facts.cost_microusd ?? 0)),
  };
  if (code === 'budget' && facts.has_room) return t('why.detail.budgetRoom');
  if (code === 'budget' && facts.is_reckoned_anew) return t('why.detail.budgetReckoned');
  if (code === 'order' && facts.more_than !== undefined) return t('why.detail.orderMany', values);
  return t(`why.detail.${code}`, values);
}
