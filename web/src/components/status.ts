/** Every state of a task, in the order of its life. */
export const STATUSES = ['blocked', 'scheduled', 'queued', 'held', 'running', 'completed', 'failed', 'cancelled', 'expired'] as const;
export type Status = (typeof STATUSES)[number];
