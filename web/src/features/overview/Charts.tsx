import { Card, Empty } from 'antd';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import type { SeriesShown } from '../../api/gen';
import { Chart } from '../../components/Chart';
import { useFormat } from '../../components/format';

/** Throughput, waits and latencies over time. */
export default function Charts({ series }: { series: SeriesShown }) {
  const { t } = useTranslation('overview');
  const format = useFormat();
  const options = useMemo(() => {
    const points = series.items;
    // Bars are narrow: for a single one the axis would be stretched to twice the span that was chosen.
    const x = { type: 'time' as const, min: series.since, max: series.until, containShape: false };
    const seconds = { type: 'value' as const, axisLabel: { formatter: (ms: number) => format.duration(ms) } };
    const tip = { trigger: 'axis' as const, confine: true, valueFormatter: (value: unknown) => (typeof value === 'number' ? format.duration(value) : '–') };
    const bars = (name: string, of: (point: (typeof points)[number]) => number) => ({ name, type: 'bar', stack: 'all', barMaxWidth: 14, data: points.map((point) => [point.at, of(point)]) });
    const line = (name: string, of: (point: (typeof points)[number]) => number | null) => ({ name, type: 'line', showSymbol: points.length < 30, data: points.map((point) => [point.at, of(point)]) });
    return [
      { key: 'throughput' as const, option: { xAxis: x, yAxis: { type: 'value', minInterval: 1 }, series: [bars(t('chart.completed'), (point) => point.completed), { ...bars(t('chart.failed'), (point) => point.failed), color: '#e03131' }] } },
      { key: 'wait' as const, option: { xAxis: x, yAxis: seconds, tooltip: tip, series: [line('p50', (point) => point.wait_ms.p50), line('p95', (point) => point.wait_ms.p95)] } },
      { key: 'latency' as const, option: { xAxis: x, yAxis: seconds, tooltip: tip, series: [line('p50', (point) => point.latency_ms.p50), line('p95', (point) => point.latency_ms.p95)] } },
      { key: 'tokens' as const, option: { xAxis: x, yAxis: { type: 'value', axisLabel: { formatter: (value: number) => format.compact(value) } }, series: [bars(t('chart.in'), (point) => point.usage.prompt_tokens), bars(t('chart.out'), (point) => point.usage.completion_tokens)] } },
    ];
  }, [series, t, format]);
  return (
    <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 420px), 1fr))' }}>
      {options.map(({ key, option }) => (
        <Card key={key} size="small" title={t(`chart.${key}`)}>
          {series.items.length ? <Chart label={t(`chart.${key}`)} option={option} /> : <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('chart.none')} style={{ height: 208, marginTop: 32 }} />}
        </Card>
      ))}
    </div>
  );
}
