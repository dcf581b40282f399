import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { body } from './client';
import { getTasksActionsActionId, postTasksActions, type ActionShown } from './gen';

export type ActionName = 'cancel' | 'retry' | 'delete' | 'set_priority';
export type ActionOrder = { action: ActionName; filter: Record<string, unknown>; priority?: number };

const EVERY_MS = 700;

export function useBeginAction() {
  return useMutation({ mutationFn: (order: ActionOrder) => body(postTasksActions({ body: order as never, throwOnError: true })) });
}

/** How far a bulk action is; lists are asked for anew when it has ended. */
export function useAction(id: number | undefined) {
  const queries = useQueryClient();
  return useQuery({
    queryKey: ['action', id],
    enabled: id !== undefined,
    queryFn: async (): Promise<ActionShown> => {
      const found = await body(getTasksActionsActionId({ path: { action_id: id ?? 0 }, throwOnError: true }));
      if (found.status !== 'running') void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'action' });
      return found;
    },
    refetchInterval: ({ state }) => (state.data && state.data.status !== 'running' ? false : EVERY_MS),
    refetchIntervalInBackground: true,
  });
}
