import type { QuotasBody, TenantBody, TenantPatch, TenantShown } from '../../api/gen';

/** What the form of a tenant holds; what is empty has no limit. */
export type TenantFields = {
  name: string;
  weight: number;
  max_workers?: number | null;
  max_queued?: number | null;
  rpm?: number | null;
  model_workers?: { model?: string; workers?: number | null }[];
  has_models: boolean;
  allowed_models?: string[];
  store_payloads: 'default' | 'full' | 'none';
};

function quotasOf({ max_queued, rpm, model_workers, has_models, allowed_models }: TenantFields): QuotasBody {
  const byModel = Object.fromEntries((model_workers ?? []).flatMap((row) => (row?.model && row.workers != null ? [[row.model, row.workers]] : [])));
  return { max_queued: max_queued ?? null, rpm: rpm ?? null, model_workers: Object.keys(byModel).length ? byModel : null, allowed_models: has_models ? (allowed_models ?? []) : null };
}

export function bodyOfTenant(fields: TenantFields): TenantBody & TenantPatch {
  return {
    name: fields.name.trim(),
    weight: fields.weight,
    max_workers: fields.max_workers ?? null,
    quotas: quotasOf(fields),
    store_payloads: fields.store_payloads === 'default' ? null : fields.store_payloads,
  };
}

export function fieldsOfTenant({ name, weight, max_workers, quotas, store_payloads }: TenantShown): TenantFields {
  return {
    name,
    weight,
    max_workers,
    max_queued: quotas.max_queued,
    rpm: quotas.rpm,
    model_workers: Object.entries(quotas.model_workers).map(([model, workers]) => ({ model, workers })),
    has_models: quotas.allowed_models !== null,
    allowed_models: quotas.allowed_models ?? [],
    store_payloads: store_payloads ?? 'default',
  };
}
