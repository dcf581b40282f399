import { useQuery } from '@tanstack/react-query';
import { body } from '../../api/client';
import { getStatsSeries } from '../../api/gen';
import { useLive } from '../../app/refresh';

const MINUTE_MS = 60_000;

/** Requests and tokens of the last minute, by what ended in it. */
export function useLastMinute(model: string) {
  return useQuery({
    queryKey: ['last-minute', model],
    queryFn: async ({ signal }) => {
      const found = await body(getStatsSeries({ query: { from: new Date(Date.now() - MINUTE_MS).toISOString(), model }, signal, throwOnError: true }));
      return {
        requests: found.items.reduce((sum, { completed, failed }) => sum + completed + failed, 0),
        tokens: found.items.reduce((sum, { usage }) => sum + usage.total_tokens, 0),
      };
    },
    placeholderData: (before) => before,
    ...useLive(5),
  });
}
