import { lazy } from 'react';

/** The parts of the settings, in their order, and what is asked for to see them. */
export const SECTIONS = [
  { name: 'profile', needs: 'self', Page: lazy(() => import('./Profile')) },
  { name: 'keys', needs: 'keys:own', Page: lazy(() => import('./Keys')) },
  { name: 'tenant', needs: 'tenant:read', Page: lazy(() => import('./Tenant')) },
  { name: 'members', needs: 'members:read', Page: lazy(() => import('./Members')) },
  { name: 'users', needs: 'users:manage', Page: lazy(() => import('./Users')) },
  { name: 'tenants', needs: 'tenants:manage', Page: lazy(() => import('./Tenants')) },
  { name: 'audit', needs: 'audit:read', Page: lazy(() => import('./Audit')) },
  { name: 'network', needs: 'system:read', Page: lazy(() => import('./Network')) },
  { name: 'secrets', needs: 'system:manage', Page: lazy(() => import('./Secrets')) },
  { name: 'plugins', needs: 'workers:read', Page: lazy(() => import('./Plugins')) },
  { name: 'system', needs: 'workers:read', Page: lazy(() => import('./System')) },
] as const;

export const sectionsFor = (permissions: string[]) => SECTIONS.filter(({ needs }) => permissions.includes(needs));
