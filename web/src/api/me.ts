import { useQuery } from '@tanstack/react-query';
import { body, client } from './client';
import type { MeShown } from './gen/types.gen';
import { currentTenant, useSession } from './session';

/** Who is calling, as `GET /api/v1/me` says. */
export type Me = MeShown;

export function useMe() {
  const session = useSession();
  return useQuery({
    queryKey: ['me', session.kind, currentTenant()],
    // Not by the generated call: that would bring all of them into the first chunk.
    queryFn: () => body(client.get<{ 200: MeShown }, unknown, true>({ url: '/api/v1/me' })),
    enabled: session.kind !== 'none',
    staleTime: 60_000,
  });
}

/** What to call them: the name that they chose, their username, or the key that came. */
export function nameOf(me: Me | undefined): string {
  return me?.user?.display_name ?? me?.user?.username ?? me?.key?.name ?? '';
}

/** Whether the one who is signed in may; false while it is not known. */
export function useMay() {
  const { data } = useMe();
  return (permission: string) => data?.permissions.includes(permission) ?? false;
}
