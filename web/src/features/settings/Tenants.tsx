import { MoreOutlined, PlusOutlined } from '@ant-design/icons';
import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import { Alert, App, Button, Card, Dropdown, Modal, Progress, Space, Tag, Typography } from 'antd';
import { useEffect, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { download } from '../../api/download';
import { deleteTenantsTenant, getTenants, getTenantsRemovalsActionId, postTenantsTenantResume, postTenantsTenantSuspend, type TenantShown } from '../../api/gen';
import { EmptyState, ErrorView, Loaded, Moment } from '../../components/basics';
import { DataTable } from '../../components/DataTable';
import { useFormat } from '../../components/format';
import { Facts, More, Section, TypedConfirm, useChange } from './parts';
import { TenantModal } from './TenantModal';

const EVERY_MS = 700;

/** How far a removal is; it goes on also when nobody looks. */
function Removal({ id, name, onClose }: { id: number; name: string; onClose: () => void }) {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const format = useFormat();
  const queries = useQueryClient();
  const query = useQuery({
    queryKey: ['removal', id],
    queryFn: ({ signal }) => body(getTenantsRemovalsActionId({ path: { action_id: id }, signal, throwOnError: true })),
    refetchInterval: ({ state }) => (state.data && state.data.status !== 'running' ? false : EVERY_MS),
    refetchIntervalInBackground: true,
  });
  const status = query.data?.status;
  useEffect(() => {
    if (status && status !== 'running') void queries.invalidateQueries({ queryKey: ['tenants'] });
  }, [status, queries]);
  return (
    <Modal open title={t('tenants.removing', { name })} onCancel={onClose} footer={<Button onClick={onClose}>{words('action.close')}</Button>}>
      {query.error && !query.data && <ErrorView error={query.error} />}
      {query.data && (
        <>
          <Progress percent={status === 'running' ? 60 : 100} status={status === 'running' ? 'active' : status === 'failed' ? 'exception' : 'success'} showInfo={false} aria-label={t('tenants.removing', { name })} />
          <Typography.Paragraph role="status">{t(`tenants.removal.${query.data.status}`, { count: query.data.removed, n: format.number(query.data.removed) })}</Typography.Paragraph>
          {query.data.error && <Alert type="error" showIcon title={query.data.error} />}
        </>
      )}
    </Modal>
  );
}

export function Quotas({ tenant }: { tenant: TenantShown }) {
  const { t } = useTranslation('settings');
  const format = useFormat();
  const limit = (value: number | null) => (value === null ? t('unlimited') : format.number(value));
  const { quotas } = tenant;
  const byModel = Object.entries(quotas.model_workers);
  return (
    <Facts
      rows={[
        [t('tenants.weight'), format.number(tenant.weight)],
        [t('tenants.maxWorkers'), limit(tenant.max_workers)],
        [t('tenants.maxQueued'), limit(quotas.max_queued)],
        [t('tenants.rpm'), limit(quotas.rpm)],
        [t('tenants.modelWorkers'), byModel.length ? <Space key="m" wrap size={4}>{byModel.map(([model, workers]) => <Tag key={model}>{model}: {workers}</Tag>)}</Space> : '–'],
        [t('tenants.allowedModels'), quotas.allowed_models === null ? t('keys.everyModel') : quotas.allowed_models.length === 0 ? t('tenants.noModels') : <Space key="a" wrap size={4}>{quotas.allowed_models.map((one) => <Tag key={one}>{one}</Tag>)}</Space>],
        [t('tenants.payloads'), t(`tenants.payloadsAs.${tenant.store_payloads ?? 'default'}`)],
        // The first tenant is as old as the record: it has no moment of its own.
        ...(Date.parse(tenant.created_at) > 0 ? [[t('tenants.since'), <Moment key="s" at={tenant.created_at} />] as [string, React.ReactNode]] : []),
      ]}
    />
  );
}

export default function Tenants() {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const { modal } = App.useApp();
  const format = useFormat();
  const [open, setOpen] = useState<'add' | TenantShown | null>(null);
  const [gone, setGone] = useState<TenantShown>();
  const [removal, setRemoval] = useState<{ id: number; name: string }>();
  const query = useInfiniteQuery({
    queryKey: ['tenants'],
    queryFn: ({ pageParam, signal }) => body(getTenants({ query: { limit: 100, ...(pageParam ? { cursor: pageParam } : {}) }, signal, throwOnError: true })),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const tenants = useMemo(() => query.data?.pages.flatMap(({ items }) => items) ?? [], [query.data]);
  const suspend = useChange(({ name }: TenantShown) => body(postTenantsTenantSuspend({ path: { tenant: name }, throwOnError: true })), { told: ({ name }) => t('tenants.suspended', { name }) });
  const resume = useChange(({ name }: TenantShown) => body(postTenantsTenantResume({ path: { tenant: name }, throwOnError: true })), { told: ({ name }) => t('tenants.resumed', { name }) });
  const save = useChange(({ name }: TenantShown) => download(`/api/v1/tenants/${encodeURIComponent(name)}/export`, {}, `tenant-${name}.ndjson`));
  const remove = async ({ name }: TenantShown) => {
    const begun = await body(deleteTenantsTenant({ path: { tenant: name }, query: { confirm: name }, throwOnError: true }));
    setRemoval({ id: begun.id, name });
  };
  const menu = (tenant: TenantShown) => [
    { key: 'change', label: words('action.edit'), onClick: () => setOpen(tenant) },
    { key: 'export', label: t('tenants.export'), onClick: () => save.mutate(tenant) },
    tenant.state === 'active'
      ? { key: 'suspend', label: t('tenants.suspend'), onClick: () => void modal.confirm({ title: t('tenants.suspendTitle', { name: tenant.name }), content: t('tenants.suspendHint'), okText: t('tenants.suspend'), cancelText: words('action.cancel'), okButtonProps: { danger: true }, onOk: () => suspend.mutateAsync(tenant).catch(() => undefined) }) }
      : { key: 'resume', label: t('tenants.resume'), onClick: () => resume.mutate(tenant) },
    { type: 'divider' as const },
    { key: 'remove', danger: true, disabled: tenant.state === 'active', label: tenant.state === 'active' ? t('tenants.removeLater') : words('action.remove'), onClick: () => setGone(tenant) },
  ];
  const limit = (value: number | null) => (value === null ? <Typography.Text type="secondary">{t('unlimited')}</Typography.Text> : format.number(value));
  return (
    <Section title={t('section.tenants')} sub={t('tenants.sub')} extra={<Button type="primary" icon={<PlusOutlined />} onClick={() => setOpen('add')}>{t('tenants.add')}</Button>}>
      <Card size="small" styles={{ body: { padding: 0 } }}>
        <Loaded query={query}>
          {() => (
            <DataTable<TenantShown>
              size="small"
              rowKey="id"
              dataSource={tenants}
              pagination={false}
              scroll={{ x: 820 }}
              locale={{ emptyText: <EmptyState title={t('tenants.none')} /> }}
              expandable={{ expandedRowRender: (tenant) => <Quotas tenant={tenant} /> }}
              columns={[
                { title: t('tenants.name'), render: (_, { name }) => <strong style={{ display: 'block', minWidth: 120 }}>{name}</strong> },
                { title: t('tenants.state'), width: 120, render: (_, { state }) => <Tag color={state === 'active' ? 'success' : 'gold'}>{t(`tenants.states.${state}`)}</Tag> },
                { title: t('tenants.weight'), width: 90, align: 'right', className: 'num', render: (_, { weight }) => format.number(weight) },
                { title: t('tenants.maxWorkers'), width: 130, align: 'right', className: 'num', render: (_, { max_workers }) => limit(max_workers) },
                { title: t('tenants.maxQueued'), width: 130, align: 'right', className: 'num', render: (_, { quotas }) => limit(quotas.max_queued) },
                { title: t('tenants.rpm'), width: 130, align: 'right', className: 'num', render: (_, { quotas }) => limit(quotas.rpm) },
                { title: <span className="visually-hidden">{t('actions')}</span>, fixed: 'end' as const, width: 56, render: (_, tenant) => <Dropdown trigger={['click']} menu={{ items: menu(tenant) }}><Button size="small" type="text" icon={<MoreOutlined />} loading={save.isPending && save.variables?.id === tenant.id} aria-label={`${words('action.more')}: ${tenant.name}`} /></Dropdown> },
              ]}
            />
          )}
        </Loaded>
      </Card>
      <More query={query} />
      {open && <TenantModal changed={open === 'add' ? undefined : open} onClose={() => setOpen(null)} />}
      {gone && <TypedConfirm title={t('tenants.removeTitle', { name: gone.name })} what={t('tenants.removeHint')} name={gone.name} okText={words('action.remove')} onOk={() => remove(gone)} onClose={() => setGone(undefined)} />}
      {removal && <Removal id={removal.id} name={removal.name} onClose={() => setRemoval(undefined)} />}
    </Section>
  );
}
