import { STATUSES, type Status } from '../../components/status';

/** The list's filter, as the address bar has it. The same words as the API's. */
export type TaskFilter = {
  status?: Status[];
  model?: string;
  type?: string;
  priority?: string;
  q?: string;
  metadata?: string;
  /** A span back from now (`24h`), or two instants with `..` between. */
  created?: string;
};

const UNIT_MS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const PLAIN = ['model', 'type', 'priority', 'q', 'metadata', 'created'] as const;

export function filterOf(params: URLSearchParams): TaskFilter {
  const filter: TaskFilter = {};
  const statuses = params.getAll('status').filter((one): one is Status => (STATUSES as readonly string[]).includes(one));
  if (statuses.length) filter.status = statuses;
  for (const name of PLAIN) {
    const value = params.get(name);
    if (value) filter[name] = value;
  }
  return filter;
}

export function paramsOf(filter: TaskFilter): URLSearchParams {
  const params = new URLSearchParams();
  filter.status?.forEach((one) => params.append('status', one));
  for (const name of PLAIN) {
    const value = filter[name];
    if (value) params.set(name, value);
  }
  return params;
}

export function createdBounds(created: string | undefined, now = Date.now()): { created_after?: string; created_before?: string } {
  if (!created) return {};
  const back = /^(\d+)([mhd])$/.exec(created);
  if (back) return { created_after: new Date(now - Number(back[1]) * (UNIT_MS[back[2] ?? ''] ?? 0)).toISOString() };
  const [from, to] = created.split('..');
  return { ...(from ? { created_after: from } : {}), ...(to ? { created_before: to } : {}) };
}

/** As query parameters of list, counts and export. */
export function queryOf(filter: TaskFilter): Record<string, unknown> {
  const { status, metadata, created, ...plain } = filter;
  const pair = metadata?.split('=');
  return {
    ...plain,
    ...(status ? { status } : {}),
    ...(pair?.[0] && pair.length > 1 ? { [`metadata.${pair[0]}`]: pair.slice(1).join('=') } : {}),
    ...createdBounds(created),
  };
}

/** As the filter of a bulk action. */
export function bodyOf(filter: TaskFilter): Record<string, unknown> {
  const { metadata, priority, ...rest } = filter;
  const { created, ...plain } = rest;
  const pair = metadata?.split('=');
  const number = priority !== undefined && /^\d$/.test(priority) ? Number(priority) : priority;
  return {
    ...plain,
    ...(number !== undefined ? { priority: number } : {}),
    ...(pair?.[0] && pair.length > 1 ? { metadata: { [pair[0]]: pair.slice(1).join('=') } } : {}),
    ...createdBounds(created),
  };
}

export const isEmpty = (filter: TaskFilter) => Object.keys(filter).length === 0;
