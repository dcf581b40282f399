import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Alert, App, Button, Form, Input, InputNumber, Modal, Space, Tag } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { deleteModelsNameEndpointsEndpoint, getModelsNameEndpoints, postModelsNameEndpoints, postModelsNameEndpointsEndpointDrain, postModelsNameEndpointsEndpointResume, type EndpointBody, type EndpointShown } from '../../api/gen';
import { useMay } from '../../api/me';
import { problemOf } from '../../api/problem';
import { useLive } from '../../app/refresh';
import { EmptyState, Loaded } from '../../components/basics';
import { DataTable } from '../../components/DataTable';
import { useFormat } from '../../components/format';

const COLOR = { ok: 'success', busy: 'processing', throttled: 'warning', open: 'error', half_open: 'warning', drained: 'default', unknown: 'default' } as const;
type Fields = { name: string; base_url?: string; api_key?: string; weight?: number; max_workers?: number; rpm?: number; tpm?: number };

function AddEndpoint({ model, onClose }: { model: string; onClose: () => void }) {
  const { t } = useTranslation('models');
  const { t: words } = useTranslation();
  const queries = useQueryClient();
  const [form] = Form.useForm<Fields>();
  const add = useMutation({
    mutationFn: ({ name, base_url, api_key, ...limits }: Fields) => {
      const given = (values: Record<string, unknown>) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== ''));
      return body(postModelsNameEndpoints({ path: { name: model }, body: { name, config: given({ base_url, api_key }), ...given(limits) } as EndpointBody, throwOnError: true }));
    },
    onSuccess: () => {
      void queries.invalidateQueries();
      onClose();
    },
  });
  return (
    <Modal open title={t('endpoint.add')} okText={words('action.add')} cancelText={words('action.cancel')} confirmLoading={add.isPending} onOk={form.submit} onCancel={onClose}>
      {add.error && <Alert role="alert" type="error" showIcon style={{ marginBottom: 12 }} title={Object.values(problemOf(add.error).byField)[0] ?? problemOf(add.error).message} />}
      <Form form={form} layout="vertical" onFinish={(fields) => add.mutate(fields)} initialValues={{ weight: 1 }}>
        <Form.Item name="name" label={t('endpoint.name')} rules={[{ required: true, message: t('wizard.required') }]}><Input /></Form.Item>
        <Form.Item name="base_url" label={t('wizard.baseUrl')}><Input spellCheck={false} /></Form.Item>
        <Form.Item name="api_key" label={t('wizard.apiKey')} extra={t('wizard.apiKeyHint')}><Input.Password autoComplete="off" /></Form.Item>
        <Space wrap>
          <Form.Item name="weight" label={t('endpoint.weight')}><InputNumber min={0.01} /></Form.Item>
          <Form.Item name="max_workers" label={t('wizard.workers')}><InputNumber min={1} /></Form.Item>
          <Form.Item name="rpm" label={t('wizard.rpm')}><InputNumber min={1} /></Form.Item>
          <Form.Item name="tpm" label={t('wizard.tpm')}><InputNumber min={1} /></Form.Item>
        </Space>
      </Form>
    </Modal>
  );
}

/** The ways to reach a model, with their health. */
export function Endpoints({ model }: { model: string }) {
  const { t } = useTranslation('models');
  const { t: words } = useTranslation();
  const { message, modal } = App.useApp();
  const format = useFormat();
  const may = useMay();
  const queries = useQueryClient();
  const [isAdding, setAdding] = useState(false);
  const query = useQuery({ queryKey: ['endpoints', model], queryFn: ({ signal }) => body(getModelsNameEndpoints({ path: { name: model }, signal, throwOnError: true })), ...useLive() });
  const act = useMutation({
    mutationFn: async ({ endpoint, what }: { endpoint: string; what: 'drain' | 'resume' | 'remove' }) => {
      const path = { name: model, endpoint };
      const call = what === 'drain' ? postModelsNameEndpointsEndpointDrain : what === 'resume' ? postModelsNameEndpointsEndpointResume : deleteModelsNameEndpointsEndpoint;
      await call({ path, throwOnError: true });
    },
    onSuccess: () => void queries.invalidateQueries(),
    onError: (error) => void message.error(problemOf(error).message),
  });
  const canManage = may('models:manage');
  const remove = (endpoint: string) =>
    void modal.confirm({ title: t('confirm.removeEndpoint', { name: endpoint }), okText: words('action.remove'), cancelText: words('action.close'), okButtonProps: { danger: true }, onOk: () => act.mutateAsync({ endpoint, what: 'remove' }).catch(() => undefined) });
  const add = canManage && <Button onClick={() => setAdding(true)}>{t('endpoint.add')}</Button>;
  return (
    <Loaded query={query}>
      {({ items }) => (
        <Space orientation="vertical" style={{ width: '100%' }}>
          {items.length > 0 && add}
          <DataTable<EndpointShown>
            size="small"
            rowKey="name"
            pagination={false}
            dataSource={items}
            scroll={{ x: 720 }}
            locale={{ emptyText: <EmptyState title={t('endpoint.none')} hint={t('endpoint.noneHint')} action={add} /> }}
            columns={[
              { title: t('endpoint.name'), dataIndex: 'name' },
              { title: t('endpoint.state'), width: 190, render: (_, { status, wait_ms }) => <Space size={4}><Tag color={COLOR[status]}>{t(`endpoint.status.${status}`)}</Tag>{wait_ms ? t('endpoint.wait', { time: format.duration(wait_ms) }) : null}</Space> },
              { title: t('endpoint.weight'), width: 80, align: 'right', dataIndex: 'weight' },
              { title: t('endpoint.running'), width: 100, align: 'right', className: 'num', render: (_, { running, max_workers }) => `${running ?? '–'}${max_workers ? ` / ${max_workers}` : ''}` },
              { title: t('endpoint.calls'), width: 130, align: 'right', className: 'num', render: (_, { calls, failures }) => (calls === null ? '–' : `${calls}, ${failures}`) },
              ...(canManage ? [{
                width: 190,
                render: (_: unknown, { name, is_drained }: EndpointShown) => (
                  <Space size={4}>
                    <Button size="small" onClick={() => act.mutate({ endpoint: name, what: is_drained ? 'resume' : 'drain' })}>{t(is_drained ? 'endpoint.resume' : 'endpoint.drain')}</Button>
                    <Button size="small" type="text" danger onClick={() => remove(name)}>{words('action.remove')}</Button>
                  </Space>
                ),
              }] : []),
            ]}
          />
          {isAdding && <AddEndpoint model={model} onClose={() => setAdding(false)} />}
        </Space>
      )}
    </Loaded>
  );
}
