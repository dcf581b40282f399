import { useTranslation } from 'react-i18next';
import { useMemo } from 'react';

/** Micro-USD as dollars: two digits from a cent on, else as many as tell it from nothing. */
export function dollars(microusd: number, language = 'en'): string {
  const value = microusd / 1e6;
  const digits = value !== 0 && Math.abs(value) < 0.01 ? 6 : value !== 0 && Math.abs(value) < 1 ? 4 : 2;
  return new Intl.NumberFormat(language, { style: 'currency', currency: 'USD', currencyDisplay: 'narrowSymbol', minimumFractionDigits: Math.min(digits, 2), maximumFractionDigits: digits }).format(value);
}

export type Span = { n: string; unit: 'ms' | 's' | 'min' | 'h' | 'd' };

/** A length of time in its natural unit. */
export function span(ms: number): Span {
  const abs = Math.abs(ms);
  if (abs < 1000) return { n: String(Math.round(ms)), unit: 'ms' };
  if (abs < 60_000) return { n: (ms / 1000).toFixed(abs < 10_000 ? 1 : 0), unit: 's' };
  if (abs < 3_600_000) return { n: (ms / 60_000).toFixed(abs < 600_000 ? 1 : 0), unit: 'min' };
  if (abs < 86_400_000) return { n: (ms / 3_600_000).toFixed(1), unit: 'h' };
  return { n: (ms / 86_400_000).toFixed(1), unit: 'd' };
}

/** Everything that is written by the reader's language. */
export function useFormat() {
  const { t, i18n } = useTranslation();
  const language = i18n.language === 'zh' ? 'zh-CN' : 'en';
  return useMemo(() => {
    const short = new Intl.DateTimeFormat(language, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
    const exact = new Intl.DateTimeFormat(language, { dateStyle: 'full', timeStyle: 'long' });
    const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });
    const whole = new Intl.NumberFormat(language);
    const compact = new Intl.NumberFormat(language, { notation: 'compact', maximumFractionDigits: 1 });
    const percent = new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 1 });
    return {
      language,
      number: (value: number) => whole.format(value),
      compact: (value: number) => compact.format(value),
      percent: (value: number) => percent.format(value),
      money: (microusd: number) => dollars(microusd, language),
      duration: (ms: number) => {
        const { n, unit } = span(ms);
        return t(`unit.${unit}`, { n });
      },
      time: (at: string | number) => short.format(new Date(at)),
      exact: (at: string | number) => exact.format(new Date(at)),
      ago: (at: string | number, now = Date.now()) => {
        const seconds = (new Date(at).getTime() - now) / 1000;
        const abs = Math.abs(seconds);
        if (abs < 5) return t('time.now');
        if (abs < 60) return relative.format(Math.round(seconds), 'second');
        if (abs < 3600) return relative.format(Math.round(seconds / 60), 'minute');
        if (abs < 86_400) return relative.format(Math.round(seconds / 3600), 'hour');
        return relative.format(Math.round(seconds / 86_400), 'day');
      },
    };
  }, [language, t]);
}
