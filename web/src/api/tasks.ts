import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { basename } from '../app/base';
import { useLive } from '../app/refresh';
import { queryOf, type TaskFilter } from '../features/tasks/filter';
import { body, client } from './client';
import { getTasksCounts, getTasksTaskId, type ProblemAnswer, type TaskPage, type TaskShown } from './gen';
import { ApiProblem } from './problem';
import { signedFetch } from './session';

export type { TaskShown };
export const PAGE = 100;
/** Most rows that are held at once: memory and scrolling stay as they are however long one reads. */
export const MOST_ROWS = 5_000;

/** The newest tasks, live; older ones by cursor. While older ones are read the list stands still. */
export function useTaskList(filter: TaskFilter) {
  const live = useLive();
  const query = useInfiniteQuery({
    queryKey: ['tasks', filter],
    // Without inputs and outputs: a list needs none, and they may be large.
    queryFn: ({ pageParam, signal }) =>
      body(client.get<{ 200: TaskPage }, unknown, true>({ url: '/api/v1/tasks', query: { ...queryOf(filter), limit: PAGE, payload: 'none', ...(pageParam ? { cursor: pageParam } : {}) }, signal })),
    initialPageParam: '',
    getNextPageParam: (page, pages) => (pages.length * PAGE >= MOST_ROWS ? undefined : (page.next_cursor ?? undefined)),
    placeholderData: (before) => before,
    ...live,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 1) > 1 ? false : live.refetchInterval),
  });
  return { ...query, isHeld: (query.data?.pages.length ?? 1) > 1 };
}

export function useTaskCounts(filter: TaskFilter) {
  const live = useLive(2);
  return useQuery({
    queryKey: ['task-counts', filter],
    queryFn: ({ signal }) => body(getTasksCounts({ query: queryOf(filter) as never, signal, throwOnError: true })),
    placeholderData: (before) => before,
    ...live,
  });
}

const OVER = new Set(['completed', 'failed', 'cancelled', 'expired']);
export const isOver = (status: string) => OVER.has(status);

export function useTask(id: number, isLive = true) {
  const live = useLive();
  return useQuery({
    queryKey: ['task', id],
    queryFn: ({ signal }) => body(getTasksTaskId({ path: { task_id: id }, signal, throwOnError: true })),
    ...live,
    refetchInterval: (query) => (!isLive || (query.state.data && isOver(query.state.data.status)) ? false : live.refetchInterval),
  });
}

/** The task's JSON as the server wrote it: numbers that JavaScript would round stay whole. */
export function useTaskText(id: number, isEnabled: boolean) {
  return useQuery({
    queryKey: ['task-text', id],
    enabled: isEnabled,
    queryFn: async ({ signal }) => {
      const answer = await signedFetch(new Request(`${basename}/api/v1/tasks/${id}`, { signal }));
      const text = await answer.text();
      if (!answer.ok) throw new ApiProblem(answer.status, JSON.parse(text) as ProblemAnswer);
      return text;
    },
  });
}
