import { Card, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import type { OverviewShown } from '../../api/gen';
import { useFormat } from '../../components/format';

/** The last minutes in six numbers. */
export function Figures({ overview }: { overview: OverviewShown }) {
  const { t } = useTranslation('overview');
  const format = useFormat();
  const ended = overview.completed + overview.failed;
  const ms = (value: number | null) => (value === null ? '–' : format.duration(value));
  const within = (value: number | null) => (value === null ? ' ' : t('figure.p95', { n: format.duration(value) }));
  const figures: [string, string, string][] = [
    [t('figure.throughput'), t('figure.perMinute', { n: format.number(overview.throughput_per_minute) }), t('figure.recent', { n: Math.round(overview.window_s / 60) })],
    [t('figure.success'), ended ? format.percent(overview.completed / ended) : '–', t('figure.failed', { n: format.number(overview.failed) })],
    [t('figure.wait'), ms(overview.wait_ms.p50), within(overview.wait_ms.p95)],
    [t('figure.latency'), ms(overview.latency_ms.p50), within(overview.latency_ms.p95)],
    [t('figure.tokens'), format.compact(overview.usage.total_tokens), t('figure.inout', { in: format.compact(overview.usage.prompt_tokens), out: format.compact(overview.usage.completion_tokens) })],
    [t('figure.cost'), format.money(overview.cost_microusd), t('figure.recent', { n: Math.round(overview.window_s / 60) })],
  ];
  return (
    <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'repeat(auto-fit, minmax(130px, 1fr))' }}>
      {figures.map(([label, value, more]) => (
        <Card size="small" key={label}>
          <Typography.Text type="secondary">{label}</Typography.Text>
          <div className="num" style={{ fontSize: 20, fontWeight: 600, lineHeight: 1.4 }}>{value}</div>
          <Typography.Text type="secondary" style={{ fontSize: 12 }}>{more}</Typography.Text>
        </Card>
      ))}
    </div>
  );
}
