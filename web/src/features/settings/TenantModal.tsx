import { MinusCircleOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Form, Input, InputNumber, Select, Space, Switch } from 'antd';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { patchTenantsTenant, postTenants, type TenantShown } from '../../api/gen';
import { useModels } from '../../api/stats';
import { FormModal } from './parts';
import { bodyOfTenant, fieldsOfTenant, type TenantFields } from './tenants';

export function TenantModal({ changed, onClose }: { changed?: TenantShown; onClose: () => void }) {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const models = useModels();
  const options = models.data?.items.map(({ name }) => ({ value: name, label: name })) ?? [];
  const send = (fields: TenantFields) => {
    const sent = bodyOfTenant(fields);
    return changed ? body(patchTenantsTenant({ path: { tenant: changed.name }, body: sent, throwOnError: true })) : body(postTenants({ body: sent, throwOnError: true }));
  };
  return (
    <FormModal<TenantFields>
      title={changed ? t('tenants.changeTitle', { name: changed.name }) : t('tenants.add')}
      okText={changed ? words('action.save') : words('action.add')}
      width={600}
      names={['name', 'weight', 'max_workers', 'max_queued', 'rpm', 'allowed_models', 'store_payloads']}
      initial={changed ? fieldsOfTenant(changed) : { weight: 1, has_models: false, store_payloads: 'default' }}
      onSend={send}
      onClose={onClose}
    >
      <Form.Item name="name" label={t('tenants.name')} extra={t('tenants.nameHint')} rules={[{ required: true, message: t('required') }, { pattern: /^[a-z0-9][a-z0-9._-]*$/, message: t('badName') }]}><Input autoFocus={!changed} autoCapitalize="none" autoComplete="off" spellCheck={false} /></Form.Item>
      <Space wrap align="start" size={[16, 0]}>
        <Form.Item name="weight" label={t('tenants.weight')} tooltip={t('tenants.weightHint')} rules={[{ required: true, message: t('required') }]}><InputNumber min={0.01} max={1000} style={{ width: 150 }} /></Form.Item>
        <Form.Item name="max_workers" label={t('tenants.maxWorkers')} tooltip={t('tenants.maxWorkersHint')}><InputNumber min={0} precision={0} placeholder={t('unlimited')} style={{ width: 150 }} /></Form.Item>
        <Form.Item name="max_queued" label={t('tenants.maxQueued')} tooltip={t('tenants.maxQueuedHint')}><InputNumber min={0} precision={0} placeholder={t('unlimited')} style={{ width: 150 }} /></Form.Item>
        <Form.Item name="rpm" label={t('tenants.rpm')}><InputNumber min={1} precision={0} placeholder={t('unlimited')} style={{ width: 150 }} /></Form.Item>
      </Space>
      <Form.Item label={t('tenants.modelWorkers')} style={{ marginBottom: 12 }}>
        <Form.List name="model_workers">
          {(fields, { add, remove }) => (
            <div style={{ display: 'grid', gap: 8 }}>
              {fields.map(({ key, name }) => (
                <div key={key} style={{ display: 'flex', gap: 8 }}>
                  <Form.Item name={[name, 'model']} noStyle><Select showSearch style={{ flex: 1, minWidth: 0 }} aria-label={t('tenants.model')} placeholder={t('tenants.model')} options={options} /></Form.Item>
                  <Form.Item name={[name, 'workers']} noStyle><InputNumber min={0} precision={0} aria-label={t('tenants.atOnce')} placeholder={t('tenants.atOnce')} style={{ width: 120 }} /></Form.Item>
                  <Button type="text" aria-label={words('action.remove')} icon={<MinusCircleOutlined />} onClick={() => remove(name)} />
                </div>
              ))}
              <Button type="dashed" icon={<PlusOutlined />} onClick={() => add({})} style={{ justifySelf: 'start' }}>{t('tenants.addModel')}</Button>
            </div>
          )}
        </Form.List>
      </Form.Item>
      <Form.Item name="has_models" label={t('tenants.onlyModels')} valuePropName="checked" style={{ marginBottom: 8 }}><Switch /></Form.Item>
      <Form.Item noStyle shouldUpdate={(before: TenantFields, after: TenantFields) => before.has_models !== after.has_models}>
        {({ getFieldValue }) => getFieldValue('has_models') && <Form.Item name="allowed_models" label={t('tenants.allowedModels')} extra={t('tenants.allowedModelsHint')}><Select mode="tags" options={options} /></Form.Item>}
      </Form.Item>
      <Form.Item name="store_payloads" label={t('tenants.payloads')} style={{ marginBottom: 0 }}><Select options={(['default', 'full', 'none'] as const).map((value) => ({ value, label: t(`tenants.payloadsAs.${value}`) }))} /></Form.Item>
    </FormModal>
  );
}
