import Audit from './Audit';
import Keys from './Keys';
import Members from './Members';
import Network from './Network';
import Plugins from './Plugins';
import Profile from './Profile';
import Secrets from './Secrets';
import System from './System';
import Tenant from './Tenant';
import Tenants from './Tenants';
import Users from './Users';

/** The parts of the settings, in their order, and what is asked for to see them. */
export const SECTIONS = [
  { name: 'profile', needs: 'self', Page: Profile },
  { name: 'keys', needs: 'keys:own', Page: Keys },
  { name: 'tenant', needs: 'tenant:read', Page: Tenant },
  { name: 'members', needs: 'members:read', Page: Members },
  { name: 'users', needs: 'users:manage', Page: Users },
  { name: 'tenants', needs: 'tenants:manage', Page: Tenants },
  { name: 'audit', needs: 'audit:read', Page: Audit },
  { name: 'network', needs: 'system:read', Page: Network },
  { name: 'secrets', needs: 'system:manage', Page: Secrets },
  { name: 'plugins', needs: 'workers:read', Page: Plugins },
  { name: 'system', needs: 'workers:read', Page: System },
] as const;

export const sectionsFor = (permissions: string[]) => SECTIONS.filter(({ needs }) => permissions.includes(needs));
