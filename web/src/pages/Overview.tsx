import { Card, Segmented, Tag, Typography } from 'antd';
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useSearchParams } from 'react-router';
import type { OverviewShown } from '../api/gen';
import { SPANS, useBudgets, useErrors, useModels, useOverview, useSeries, type SpanName } from '../api/stats';
import { EmptyState, Loaded, Moment, PageHeader, StatusTag } from '../components/basics';
import { DataTable } from '../components/DataTable';
import { STATUSES } from '../components/status';
import { useFormat } from '../components/format';
import { Figures } from '../features/overview/Figures';
import { Needs } from '../features/overview/Needs';
import { needsOf } from '../features/overview/needs';
import { Welcome } from '../features/overview/Welcome';

const Charts = lazy(() => import('../features/overview/Charts'));

function Counts({ counts }: { counts: OverviewShown['counts'] }) {
  const format = useFormat();
  return (
    <div style={{ display: 'flex', flexWrap: 'wrap', gap: 8, marginBottom: 12 }}>
      {STATUSES.map((status) => (
        <Link key={status} to={`/tasks?status=${status}`} style={{ display: 'flex', gap: 6, alignItems: 'center', color: 'inherit' }}>
          <StatusTag status={status} />
          <span className="num" style={{ fontWeight: 600, minWidth: 24 }}>{format.compact(counts[status] ?? 0)}</span>
        </Link>
      ))}
    </div>
  );
}

function Queues({ queues }: { queues: OverviewShown['queues'] }) {
  const { t } = useTranslation('overview');
  const format = useFormat();
  return (
    <Card size="small" title={t('queues.title')} styles={{ body: { padding: 0 } }}>
      <DataTable
        size="small"
        rowKey="model"
        pagination={queues.length > 10 ? { pageSize: 10, size: 'small' } : false}
        dataSource={queues}
        scroll={{ x: 420 }}
        locale={{ emptyText: <EmptyState title={t('queues.none')} /> }}
        columns={[
          { title: t('queues.model'), render: (_, { model }) => <Link to={`/models/${encodeURIComponent(model)}`}>{model}</Link>, ellipsis: true },
          { title: t('queues.waiting'), align: 'right', className: 'num', width: 90, render: (_, { waiting, model }) => <Link to={`/tasks?status=queued&model=${encodeURIComponent(model)}`}>{format.compact(waiting)}</Link> },
          { title: t('queues.running'), align: 'right', className: 'num', width: 90, render: (_, { running }) => format.number(running) },
          { title: t('queues.byPriority'), width: 160, render: (_, { by_priority }) => Object.entries(by_priority).map(([priority, count]) => <Tag key={priority} className="num">{priority}: {format.compact(count)}</Tag>) },
          { title: t('queues.oldest'), width: 110, render: (_, { oldest_queued_at }) => <Moment at={oldest_queued_at} isRelative /> },
        ]}
      />
    </Card>
  );
}

function Errors({ span }: { span: SpanName }) {
  const { t } = useTranslation('overview');
  const format = useFormat();
  const query = useErrors(span);
  return (
    <Card size="small" title={t('errors.title')} styles={{ body: { padding: 0 } }}>
      <Loaded query={query}>
        {({ items }) => (
          <DataTable
            size="small"
            rowKey={({ model, code, http_status }) => `${model} ${code} ${http_status}`}
            pagination={false}
            dataSource={items}
            scroll={{ x: 420 }}
            locale={{ emptyText: <EmptyState title={t('errors.none')} /> }}
            columns={[
              { title: t('errors.count'), width: 70, align: 'right', className: 'num', render: (_, { count }) => format.compact(count) },
              {
                title: t('errors.cause'),
                render: (_, { model, code, http_status, message, task_id }) => (
                  <div style={{ minWidth: 0 }}>
                    <Link to={`/tasks/${task_id}`}>{code}</Link> {http_status && <Tag>{http_status}</Tag>} <Typography.Text type="secondary">{model}</Typography.Text>
                    <Typography.Paragraph type="secondary" ellipsis={{ rows: 1, tooltip: message }} style={{ margin: 0, fontSize: 12 }}>{message}</Typography.Paragraph>
                  </div>
                ),
              },
              { title: t('errors.last'), width: 110, render: (_, { last_at }) => <Moment at={last_at} isRelative /> },
            ]}
          />
        )}
      </Loaded>
    </Card>
  );
}

export function Component() {
  const { t } = useTranslation('overview');
  const [params, setParams] = useSearchParams();
  const given = params.get('span') as SpanName | null;
  const span = given && SPANS.includes(given) ? given : '1h';
  const overview = useOverview();
  const models = useModels();
  const budgets = useBudgets();
  const series = useSeries(span);
  const choose = <Segmented aria-label={t('span.label')} value={span} onChange={(value) => setParams(value === '1h' ? {} : { span: value })} options={SPANS.map((value) => ({ value, label: t(`choice.${value}`) }))} />;
  return (
    <>
      <PageHeader title={t('title')} sub={t('sub', { span: t(`span.${span}`) })} extra={choose} />
      <Loaded query={overview} rows={12}>
        {(data) => (
          <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'minmax(0, 1fr)' }}>
            {models.data && <Welcome models={models.data.items.length} tasks={Object.values(data.counts).reduce((sum, one) => sum + one, 0)} />}
            <Counts counts={data.counts} />
            <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 330px), 1fr))' }}>
              <div style={{ gridColumn: 'span 1' }}><Figures overview={data} /></div>
              <Needs needs={needsOf(data, models.data?.items ?? [], budgets.data?.items ?? [], new Date(data.at).getTime()).filter(({ kind }) => kind !== 'noModels' || models.data !== undefined)} />
            </div>
            <Loaded query={series} rows={6}>{(found) => <Suspense fallback={<div style={{ height: 600 }} />}><Charts series={found} /></Suspense>}</Loaded>
            <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 420px), 1fr))' }}>
              <Queues queues={data.queues} />
              <Errors span={span} />
            </div>
          </div>
        )}
      </Loaded>
    </>
  );
}
