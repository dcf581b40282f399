import type { TaskShown } from '../../api/tasks';

export type Cause = { key: string; model: string; code: string; httpStatus: number | null; reason: string; ids: number[]; lastAt: string; message: string };

export const causeOf = (task: TaskShown) => `${task.model}|${task.error?.code ?? '?'}|${task.error?.http_status ?? ''}`;

/** Dead letters by model, error and status, the commonest first. */
export function causesOf(tasks: TaskShown[]): Cause[] {
  const found = new Map<string, Cause>();
  for (const task of tasks) {
    const key = causeOf(task);
    const at = task.completed_at ?? task.updated_at;
    const cause = found.get(key);
    if (!cause) found.set(key, { key, model: task.model, code: task.error?.code ?? '?', httpStatus: task.error?.http_status ?? null, reason: task.dead_reason ?? '', ids: [task.id], lastAt: at, message: task.error?.message ?? '' });
    else {
      cause.ids.push(task.id);
      if (at > cause.lastAt) Object.assign(cause, { lastAt: at, message: task.error?.message ?? '' });
    }
  }
  return [...found.values()].sort((a, b) => b.ids.length - a.ids.length || b.lastAt.localeCompare(a.lastAt));
}
