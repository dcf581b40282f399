import { useQuery } from '@tanstack/react-query';
import { client, body } from './client';
import { useSession } from './session';

/** Who is calling, as `GET /api/v1/me` says. */
export type Me = {
  kind: 'bootstrap' | 'key' | 'user';
  username: string;
  display_name: string | null;
  role: 'admin' | 'owner' | 'developer' | 'viewer';
  is_admin: boolean;
  tenant: { id: number; name: string };
  tenants: { id: number; name: string; role: string }[];
  permissions: string[];
};

export function useMe() {
  const session = useSession();
  return useQuery({
    queryKey: ['me', session.kind],
    queryFn: () => body(client.get<{ 200: Me }, unknown, true>({ url: '/api/v1/me' })),
    enabled: session.kind !== 'none',
    staleTime: 60_000,
  });
}

/** Whether the one who is signed in may; false while it is not known. */
export function useMay() {
  const { data } = useMe();
  return (permission: string) => data?.permissions.includes(permission) ?? false;
}
