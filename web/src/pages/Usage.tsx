import { useQuery } from '@tanstack/react-query';
import { Button, Card, Flex, Progress, Segmented, Typography } from 'antd';
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { body } from '../api/client';
import { getStatsUsage, type UsageRowShown } from '../api/gen';
import { useMay } from '../api/me';
import { useLive } from '../app/refresh';
import { EmptyState, Loaded, PageHeader } from '../components/basics';
import { DataTable } from '../components/DataTable';
import { useFormat } from '../components/format';
import { Budgets } from '../features/usage/Budgets';
import { csvOf, saveText } from '../features/usage/csv';

const CostChart = lazy(() => import('../features/usage/CostChart'));
const HOURS = { '24h': 24, '7d': 168, '30d': 720, '90d': 2160 } as const;
type SpanName = keyof typeof HOURS;
const GROUPS = ['model', 'day', 'key', 'tenant'] as const;
type Group = (typeof GROUPS)[number];

function useUsage(group: Group, span: SpanName) {
  return useQuery({
    queryKey: ['usage', group, span],
    queryFn: ({ signal }) => body(getStatsUsage({ query: { group_by: group, from: new Date(Date.now() - HOURS[span] * 3_600_000).toISOString() }, signal, throwOnError: true })),
    placeholderData: (before) => before,
    ...useLive(10),
  });
}

export function Component() {
  const { t } = useTranslation('usage');
  const format = useFormat();
  const may = useMay();
  const [params, setParams] = useSearchParams();
  const span = ((params.get('span') ?? '30d') in HOURS ? (params.get('span') ?? '30d') : '30d') as SpanName;
  const mayBy: Partial<Record<Group, boolean>> = { key: may('keys:manage'), tenant: may('system:read') };
  const groups = GROUPS.filter((name) => mayBy[name] ?? true);
  const group = groups.find((name) => name === params.get('by')) ?? 'model';
  const set = (name: string, value: string) => setParams((before) => { before.set(name, value); return before; });
  const rows = useUsage(group, span);
  const days = useUsage('day', span);
  const sum = (items: UsageRowShown[], of: (row: UsageRowShown) => number) => items.reduce((total, row) => total + of(row), 0);
  const save = () => rows.data && saveText(csvOf(group, rows.data.items), `usage-${group}-${span}.csv`);
  return (
    <>
      <PageHeader
        title={t('title')}
        sub={t('sub')}
        extra={<Segmented aria-label={t('span.label')} value={span} onChange={(value) => set('span', value)} options={(Object.keys(HOURS) as SpanName[]).map((value) => ({ value, label: t(`span.${value}`) }))} />}
      />
      <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'minmax(0, 1fr)' }}>
        <Loaded query={rows}>
          {({ items }) => {
            const cost = sum(items, (row) => row.cost_microusd);
            const completed = sum(items, (row) => row.completed);
            const figures: [string, string][] = [
              [t('total.cost'), format.money(cost)],
              [t('total.calls'), format.number(sum(items, (row) => row.attempts))],
              [t('total.tokens'), format.compact(sum(items, (row) => row.usage.total_tokens))],
              [t('total.average'), completed ? format.money(cost / completed) : '–'],
            ];
            return (
              <>
                <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'repeat(auto-fit, minmax(150px, 1fr))' }}>
                  {figures.map(([label, value]) => (
                    <Card size="small" key={label}>
                      <Typography.Text type="secondary">{label}</Typography.Text>
                      <div className="num" style={{ fontSize: 20, fontWeight: 600 }}>{value}</div>
                    </Card>
                  ))}
                </div>
                {days.data && days.data.items.length > 0 && (
                  <Card size="small" title={t('chart')}>
                    <Suspense fallback={<div style={{ height: 220 }} />}><CostChart days={days.data.items} label={t('chart')} /></Suspense>
                  </Card>
                )}
                <Card
                  size="small"
                  title={
                    <Flex wrap gap={8} justify="space-between" style={{ paddingBlock: 6 }}>
                      <Segmented aria-label={t('group.label')} value={group} onChange={(value) => set('by', value)} options={groups.map((value) => ({ value, label: t(`group.${value}`) }))} />
                      <Button onClick={save} disabled={items.length === 0}>{t('export')}</Button>
                    </Flex>
                  }
                  styles={{ body: { padding: 0 } }}
                >
                  <DataTable
                    size="small"
                    rowKey="group"
                    pagination={{ pageSize: 50, hideOnSinglePage: true, size: 'small' }}
                    dataSource={items}
                    scroll={{ x: 760 }}
                    locale={{ emptyText: <EmptyState title={t('none')} hint={t('noneHint')} /> }}
                    columns={[
                      { title: t(`column.${group}`), dataIndex: 'group', render: (name: string) => name || t('noKey'), sorter: (a, b) => a.group.localeCompare(b.group) },
                      { title: t('column.attempts'), align: 'right', className: 'num', render: (_, row) => format.number(row.attempts), sorter: (a, b) => a.attempts - b.attempts },
                      { title: t('column.failed'), align: 'right', className: 'num', render: (_, row) => format.number(row.failed), sorter: (a, b) => a.failed - b.failed },
                      { title: t('column.in'), align: 'right', className: 'num', render: (_, row) => format.compact(row.usage.prompt_tokens), sorter: (a, b) => a.usage.prompt_tokens - b.usage.prompt_tokens },
                      { title: t('column.out'), align: 'right', className: 'num', render: (_, row) => format.compact(row.usage.completion_tokens), sorter: (a, b) => a.usage.completion_tokens - b.usage.completion_tokens },
                      { title: t('column.cost'), align: 'right', className: 'num', render: (_, row) => format.money(row.cost_microusd), sorter: (a, b) => a.cost_microusd - b.cost_microusd },
                      { title: t('column.share'), width: 140, render: (_, row) => <Progress size="small" percent={cost ? Math.round((100 * row.cost_microusd) / cost) : 0} status="normal" aria-label={t('column.share')} /> },
                    ]}
                  />
                </Card>
              </>
            );
          }}
        </Loaded>
        <Budgets />
      </div>
    </>
  );
}
