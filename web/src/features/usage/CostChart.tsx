import { useMemo } from 'react';
import type { UsageRowShown } from '../../api/gen';
import { Chart } from '../../components/Chart';
import { useFormat } from '../../components/format';

export default function CostChart({ days, label }: { days: UsageRowShown[]; label: string }) {
  const format = useFormat();
  const option = useMemo(
    () => ({
      xAxis: { type: 'category', data: days.map(({ group }) => group) },
      yAxis: { type: 'value', minInterval: 1, axisLabel: { formatter: (microusd: number) => format.money(microusd) } },
      tooltip: { trigger: 'axis', confine: true, valueFormatter: (value: unknown) => (typeof value === 'number' ? format.money(value) : '–') },
      legend: { show: false },
      grid: { left: 64, right: 16, top: 16, bottom: 28 },
      series: [{ type: 'bar', name: label, barMaxWidth: 32, data: days.map(({ cost_microusd }) => cost_microusd) }],
    }),
    [days, format, label],
  );
  return <Chart label={label} option={option} height={220} />;
}
