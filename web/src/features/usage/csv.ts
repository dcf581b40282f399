import type { UsageRowShown } from '../../api/gen';

/** A cell that no spreadsheet takes for a formula, quoted where it must be. */
export function cell(value: string | number): string {
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csvOf(group: string, rows: UsageRowShown[]): string {
  const head = [group, 'calls', 'completed', 'failed', 'prompt_tokens', 'completion_tokens', 'cost_microusd'];
  const lines = rows.map((row) => [row.group, row.attempts, row.completed, row.failed, row.usage.prompt_tokens, row.usage.completion_tokens, row.cost_microusd]);
  return [head, ...lines].map((line) => line.map(cell).join(',')).join('\r\n') + '\r\n';
}

export function saveText(text: string, name: string) {
  const address = URL.createObjectURL(new Blob(['\ufeff', text], { type: 'text/csv;charset=utf-8' }));
  Object.assign(document.createElement('a'), { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
