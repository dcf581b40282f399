const OUTCOMES = ['done', 'refused', 'failed'] as const;
export type Outcome = (typeof OUTCOMES)[number];
export { OUTCOMES };

/** What is asked of the audit log, as it stands in the address bar. */
export type AuditFilter = { actor?: string; action?: string; target?: string; tenant?: string; outcome?: Outcome; span?: string; from?: string; to?: string };

export const SPANS = { '24h': 24, '7d': 168, '30d': 720 } as const;
const TEXTS = ['actor', 'action', 'target', 'tenant'] as const;

const instant = (text: string | null) => (text && !Number.isNaN(Date.parse(text)) ? new Date(text).toISOString() : undefined);

/** What is wrong in an address is passed over. */
export function auditFilterOf(params: URLSearchParams): AuditFilter {
  const found: AuditFilter = {};
  for (const name of TEXTS) {
    const text = params.get(name)?.trim();
    if (text) found[name] = text;
  }
  const outcome = OUTCOMES.find((one) => one === params.get('outcome'));
  if (outcome) found.outcome = outcome;
  const span = params.get('span');
  if (span && span in SPANS) found.span = span;
  else {
    const from = instant(params.get('from'));
    const to = instant(params.get('to'));
    if (from) found.from = from;
    if (to) found.to = to;
  }
  return found;
}

export type AuditQueryValues = { actor?: string; action?: string; target?: string; tenant?: string; outcome?: Outcome; from?: string; to?: string };

/** As the API is asked; a span counts back from now. */
export function auditQueryOf({ span, ...rest }: AuditFilter, now = Date.now()): AuditQueryValues {
  const hours = span && span in SPANS ? SPANS[span as keyof typeof SPANS] : undefined;
  return hours === undefined ? rest : { ...rest, from: new Date(now - hours * 3_600_000).toISOString() };
}

/** An instant as `<input type="datetime-local">` wants it, in the reader's zone. */
export function localOf(at: string | undefined): string {
  if (!at) return '';
  const date = new Date(at);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
