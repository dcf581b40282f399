import { useQuery } from '@tanstack/react-query';
import { Button, Card, Descriptions, Space, Tabs, Tag } from 'antd';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useParams, useSearchParams } from 'react-router';
import { body } from '../api/client';
import { getModelsName, getModelsNamePredictions, type ModelShown } from '../api/gen';
import { useMay } from '../api/me';
import { useSeries } from '../api/stats';
import { useLive } from '../app/refresh';
import { Code, EmptyState, Loaded, Moment, PageHeader } from '../components/basics';
import { DataTable } from '../components/DataTable';
import { useFormat } from '../components/format';
import { ScaleModal, TestModal, useModelActions } from '../features/models/actions';
import { EditModal } from '../features/models/EditModal';
import { Endpoints } from '../features/models/Endpoints';
import { Gauges, STATUS_COLOR, successShare } from '../features/models/ModelCard';

const Charts = lazy(() => import('../features/overview/Charts'));

function Overview({ model }: { model: ModelShown }) {
  const { t } = useTranslation('models');
  const format = useFormat();
  const series = useSeries('1h', model.name);
  const share = successShare(model);
  const items = [
    { key: 'type', label: t('detail.type'), children: model.type },
    { key: 'strategy', label: t('detail.strategy'), children: model.strategy ?? t('detail.default') },
    { key: 'queued', label: t('card.queued'), children: <Link to={`/tasks?status=queued&model=${encodeURIComponent(model.name)}`}>{format.number(model.queued)}</Link> },
    { key: 'total', label: t('detail.total'), children: model.total_requests === null ? '–' : format.number(model.total_requests) },
    { key: 'success', label: t('card.success'), children: share === null ? '–' : format.percent(share) },
    { key: 'pacing', label: t('detail.pacing'), children: t(`pacing.${model.pacing}`) },
    { key: 'retry', label: t('detail.retry'), children: t('detail.retryOf', { count: model.retry.max_retries, first: model.retry.initial_delay_s, most: model.retry.max_delay_s }) },
    { key: 'fallback', label: t('detail.fallback'), children: model.fallback_models.length ? model.fallback_models.map((name) => <Tag key={name}>{name}</Tag>) : '–' },
    { key: 'updated', label: t('detail.updated'), children: <Moment at={model.updated_at} /> },
  ];
  return (
    <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'minmax(0, 1fr)' }}>
      <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'repeat(auto-fit, minmax(min(100%, 320px), 1fr))' }}>
        <Card size="small"><Gauges model={model} /></Card>
        <Card size="small"><Descriptions size="small" column={1} items={items} /></Card>
      </div>
      <Loaded query={series} rows={6}>{(found) => <Suspense fallback={<div style={{ height: 600 }} />}><Charts series={found} /></Suspense>}</Loaded>
    </div>
  );
}

function Learned({ name }: { name: string }) {
  const { t } = useTranslation('models');
  const format = useFormat();
  const query = useQuery({ queryKey: ['predictions', name], queryFn: ({ signal }) => body(getModelsNamePredictions({ path: { name }, signal, throwOnError: true })), ...useLive(10) });
  return (
    <Loaded query={query}>
      {({ learned }) => (
        <DataTable
          size="small"
          rowKey={({ template, input_tokens_from }) => `${template} ${input_tokens_from}`}
          pagination={{ pageSize: 20, hideOnSinglePage: true }}
          dataSource={learned}
          scroll={{ x: 560 }}
          locale={{ emptyText: <EmptyState title={t('learned.none')} /> }}
          columns={[
            { title: t('learned.template'), render: (_, { template }) => template || '–' },
            { title: t('learned.input'), align: 'right', className: 'num', render: (_, { input_tokens_from, input_tokens_to }) => `${format.number(input_tokens_from)} – ${format.number(input_tokens_to)}` },
            { title: t('learned.output'), align: 'right', className: 'num', render: (_, { output_tokens }) => format.number(Math.round(output_tokens)) },
            { title: t('learned.service'), align: 'right', className: 'num', render: (_, { service_s }) => (service_s === null ? '–' : format.duration(service_s * 1000)) },
            { title: t('learned.samples'), align: 'right', className: 'num', render: (_, { samples }) => format.number(samples) },
          ]}
        />
      )}
    </Loaded>
  );
}

export function Component() {
  const { t } = useTranslation('models');
  const { '*': name = '' } = useParams();
  const navigate = useNavigate();
  const may = useMay();
  const actions = useModelActions();
  const [params, setParams] = useSearchParams();
  const [open, setOpen] = useState<'scale' | 'test' | 'edit' | null>(null);
  const query = useQuery({ queryKey: ['model', name], queryFn: ({ signal }) => body(getModelsName({ path: { name }, signal, throwOnError: true })), ...useLive() });
  return (
    <Loaded query={query} rows={10}>
      {(model) => (
        <>
          <PageHeader
            title={<Space wrap>{model.name}<Tag color={STATUS_COLOR[model.status]}>{t(`status.${model.status}`)}</Tag></Space>}
            extra={may('models:manage') && (
              <>
                <Button onClick={() => setOpen('test')}>{t('action.test')}</Button>
                <Button onClick={() => setOpen('scale')}>{t('action.scale')}</Button>
                <Button onClick={() => setOpen('edit')}>{t('action.edit')}</Button>
                {model.status === 'active' ? <Button onClick={() => actions.pause(name)}>{t('action.pause')}</Button> : <Button type="primary" onClick={() => actions.resume(name)}>{t('action.resume')}</Button>}
                <Button danger onClick={() => actions.remove(name, () => void navigate('/models'))}>{t('action.remove')}</Button>
              </>
            )}
          />
          <Tabs
            activeKey={params.get('tab') ?? 'overview'}
            onChange={(tab) => setParams(tab === 'overview' ? {} : { tab }, { replace: true })}
            items={[
              { key: 'overview', label: t('tab.overview'), children: <Overview model={model} /> },
              { key: 'endpoints', label: t('tab.endpoints'), children: <Endpoints model={name} /> },
              { key: 'settings', label: t('tab.settings'), children: <Code label={t('detail.config')} text={JSON.stringify(model.config, null, 2)} /> },
              { key: 'learned', label: t('tab.learned'), children: <Learned name={name} /> },
            ]}
          />
          {open === 'scale' && <ScaleModal model={model} onClose={() => setOpen(null)} />}
          {open === 'test' && <TestModal name={name} onClose={() => setOpen(null)} />}
          {open === 'edit' && <EditModal model={model} onClose={() => setOpen(null)} />}
        </>
      )}
    </Loaded>
  );
}
