import type { ApiKeyBody, ApiKeyPatch, ApiKeyShown } from '../../api/gen';

export const BUNDLES = ['all', 'read', 'submit', 'manage'] as const;
export type Bundle = (typeof BUNDLES)[number];

/** After how many days a key ends, as offered. 0: when it is revoked; -1: at a moment that is given. */
export const LIVES = [7, 30, 90, 365, 0, -1] as const;
const DAY_S = 86_400;

/** What the form of a key holds. `bundle` 'some': the permissions that are ticked. */
export type KeyFields = {
  name: string;
  user?: string;
  bundle: Bundle | 'some' | 'kept';
  scopes?: string[];
  life: number | 'kept';
  until?: string;
  rpm?: number | null;
  allowed_models?: string[];
  networks?: string[];
};

type Scopes = NonNullable<ApiKeyBody['scopes']>;

const scopesOf = ({ bundle, scopes }: KeyFields) => (bundle === 'some' ? (scopes ?? []) : [bundle]) as Scopes;

function endOf({ life, until }: KeyFields): Pick<ApiKeyBody, 'expires_at' | 'expires_in_s'> {
  if (life === -1) return { expires_at: until ? new Date(until).toISOString() : null };
  return life === 0 || life === 'kept' ? { expires_at: null } : { expires_in_s: life * DAY_S };
}

const limitsOf = ({ rpm, allowed_models, networks }: KeyFields) => ({
  rpm: rpm ?? null,
  allowed_models: allowed_models?.length ? allowed_models : null,
  networks: networks ?? [],
});

export function bodyOfKey(fields: KeyFields): ApiKeyBody {
  return { name: fields.name.trim(), ...(fields.user ? { user: fields.user } : {}), scopes: scopesOf(fields), ...endOf(fields), ...limitsOf(fields) };
}

/** Only what the form changes: what is kept is not sent. */
export function patchOfKey(fields: KeyFields): ApiKeyPatch {
  return {
    name: fields.name.trim(),
    ...(fields.bundle === 'kept' ? {} : { scopes: scopesOf(fields) }),
    ...(fields.life === 'kept' ? {} : endOf(fields)),
    ...limitsOf(fields),
  };
}

export function fieldsOfKey(key: ApiKeyShown): KeyFields {
  return { name: key.name, bundle: 'kept', scopes: key.scopes, life: 'kept', rpm: key.rpm, allowed_models: key.allowed_models ?? [], networks: key.networks };
}

/** The words of `permission` in the room `settings`: colons part rooms there. */
export const wordOf = <S extends string>(scope: S) => scope.replace(':', '_');
