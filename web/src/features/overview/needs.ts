import type { BudgetShown, ModelShown, OverviewShown } from '../../api/gen';

/** Something that somebody ought to look at. `to` leads there. */
export type Need =
  | { key: string; level: 'error' | 'warning'; kind: 'dead' | 'held'; count: number; to: string }
  | { key: string; level: 'error' | 'warning'; kind: 'unhealthy'; model: string; to: string }
  | { key: string; level: 'error' | 'warning'; kind: 'paused'; model: string; count: number; to: string }
  | { key: string; level: 'error' | 'warning'; kind: 'noWorkers' | 'noModels'; to: string }
  | { key: string; level: 'error' | 'warning'; kind: 'old'; model: string; ms: number; to: string }
  | { key: string; level: 'error' | 'warning'; kind: 'failing'; share: number; to: string }
  | { key: string; level: 'error' | 'warning'; kind: 'budget'; name: string; share: number; to: string };

const OLD_MS = 10 * 60_000;
const FAILING = 0.2;
const ENOUGH = 10;
const NEARLY = 0.8;

/** What needs attention, the worst first. Pure: it is what the tests hold. */
export function needsOf(overview: OverviewShown, models: ModelShown[], budgets: BudgetShown[], now: number): Need[] {
  const found: Need[] = [];
  const { counts } = overview;
  if (models.length === 0) found.push({ key: 'no-models', level: 'warning', kind: 'noModels', to: '/models?add=1' });
  if (!overview.workers.some(({ role, is_alive }) => is_alive && role !== 'api')) found.push({ key: 'no-workers', level: 'error', kind: 'noWorkers', to: '/workers' });
  for (const { name, status, queued } of models) {
    const to = `/models/${encodeURIComponent(name)}`;
    if (status === 'unhealthy') found.push({ key: `unhealthy:${name}`, level: 'error', kind: 'unhealthy', model: name, to });
    else if (status === 'paused' && queued > 0) found.push({ key: `paused:${name}`, level: 'warning', kind: 'paused', model: name, count: queued, to });
  }
  const ended = overview.completed + overview.failed;
  if (ended >= ENOUGH && overview.failed / ended >= FAILING) found.push({ key: 'failing', level: 'error', kind: 'failing', share: overview.failed / ended, to: '/tasks?status=failed' });
  if (counts.failed) found.push({ key: 'dead', level: 'warning', kind: 'dead', count: counts.failed, to: '/dead-letters' });
  if (counts.held) found.push({ key: 'held', level: 'warning', kind: 'held', count: counts.held, to: '/tasks?status=held' });
  for (const { model, oldest_queued_at } of overview.queues) {
    const ms = oldest_queued_at ? now - new Date(oldest_queued_at).getTime() : 0;
    if (ms > OLD_MS) found.push({ key: `old:${model}`, level: 'warning', kind: 'old', model, ms, to: `/tasks?status=queued&model=${encodeURIComponent(model)}` });
  }
  for (const { name, limit_microusd, spent_microusd, reserved_microusd } of budgets) {
    const share = limit_microusd ? (spent_microusd + reserved_microusd) / limit_microusd : 1;
    if (share >= NEARLY) found.push({ key: `budget:${name}`, level: share >= 1 ? 'error' : 'warning', kind: 'budget', name, share, to: '/usage' });
  }
  return found.sort((a, b) => Number(b.level === 'error') - Number(a.level === 'error'));
}
