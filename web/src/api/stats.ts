import { useQuery } from '@tanstack/react-query';
import { useLive } from '../app/refresh';
import { body } from './client';
import { getBudgets, getModels, getStatsErrors, getStatsOverview, getStatsSeries, getWorkers } from './gen';

export const SPANS = ['1h', '6h', '24h', '7d', '30d'] as const;
export type SpanName = (typeof SPANS)[number];
const HOURS: Record<SpanName, number> = { '1h': 1, '6h': 6, '24h': 24, '7d': 168, '30d': 720 };
export const spanMs = (span: SpanName) => HOURS[span] * 3_600_000;
const from = (span: SpanName) => new Date(Date.now() - spanMs(span)).toISOString();

export function useOverview() {
  return useQuery({ queryKey: ['overview'], queryFn: ({ signal }) => body(getStatsOverview({ signal, throwOnError: true })), ...useLive(1) });
}

/** Long spans change slowly: they are asked for less often. */
const slow = (span: SpanName) => (span === '1h' ? 5 : span === '6h' || span === '24h' ? 15 : 60);

export function useSeries(span: SpanName, model?: string) {
  return useQuery({
    queryKey: ['series', span, model],
    queryFn: ({ signal }) => body(getStatsSeries({ query: { from: from(span), ...(model ? { model } : {}) }, signal, throwOnError: true })),
    placeholderData: (before) => before,
    ...useLive(slow(span)),
  });
}

export function useErrors(span: SpanName) {
  return useQuery({
    queryKey: ['errors', span],
    queryFn: ({ signal }) => body(getStatsErrors({ query: { from: from(span) }, signal, throwOnError: true })),
    placeholderData: (before) => before,
    ...useLive(slow(span)),
  });
}

export function useModels(isEnabled = true) {
  return useQuery({ queryKey: ['models'], enabled: isEnabled, queryFn: ({ signal }) => body(getModels({ signal, throwOnError: true })), ...useLive() });
}

export function useWorkers() {
  return useQuery({ queryKey: ['workers'], queryFn: ({ signal }) => body(getWorkers({ signal, throwOnError: true })), ...useLive() });
}

export function useBudgets() {
  return useQuery({ queryKey: ['budgets'], queryFn: ({ signal }) => body(getBudgets({ signal, throwOnError: true })), ...useLive(10) });
}
