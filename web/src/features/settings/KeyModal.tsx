import { useQuery } from '@tanstack/react-query';
import { Form, Input, InputNumber, Radio, Select, Space, Typography } from 'antd';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { getServiceAccounts, patchApiKeysKeyId, postApiKeys, type ApiKeyMade, type ApiKeyShown } from '../../api/gen';
import { useMay, useMe } from '../../api/me';
import { useModels } from '../../api/stats';
import { BUNDLES, bodyOfKey, fieldsOfKey, LIVES, patchOfKey, type KeyFields } from './keys';
import { FormModal } from './parts';

const NAMES = ['name', 'user', 'scopes', 'rpm', 'allowed_models', 'networks', 'until'] as const;

/** A new key, or another look of one that there is. */
export function KeyModal({ changed, onMade, onClose }: { changed?: ApiKeyShown; onMade: (key: ApiKeyMade) => void; onClose: () => void }) {
  const { t } = useTranslation('settings');
  const { t: words } = useTranslation();
  const may = useMay();
  const { data: me } = useMe();
  const models = useModels(may('models:read'));
  const services = useQuery({ queryKey: ['services'], enabled: !changed && may('keys:manage'), queryFn: ({ signal }) => body(getServiceAccounts({ query: { limit: 500 }, signal, throwOnError: true })) });
  const isOfPerson = me?.user !== null;
  const send = async (fields: KeyFields) => {
    if (changed) return body(patchApiKeysKeyId({ path: { key_id: changed.id }, body: patchOfKey(fields), throwOnError: true }));
    const made = await body(postApiKeys({ body: bodyOfKey(fields), throwOnError: true }));
    onMade(made);
    return made;
  };
  const held = me?.permissions.filter((one) => one !== 'self') ?? [];
  const bundles = [...(changed ? ['kept' as const] : []), ...BUNDLES, 'some' as const];
  const lives = [...(changed ? ['kept' as const] : []), ...LIVES];
  return (
    <FormModal<KeyFields>
      title={changed ? t('keys.changeTitle', { name: changed.name }) : t('keys.add')}
      okText={changed ? words('action.save') : t('keys.make')}
      width={600}
      names={[...NAMES]}
      initial={changed ? fieldsOfKey(changed) : { bundle: 'submit', life: 90, networks: [], allowed_models: [] }}
      onSend={send}
      onClose={onClose}
    >
      <Form.Item name="name" label={t('keys.name')} extra={t('keys.nameHint')} rules={[{ required: true, message: t('required') }]}><Input autoFocus maxLength={100} /></Form.Item>
      {!changed && may('keys:manage') && (
        <Form.Item name="user" label={t('keys.user')} extra={services.data?.items.length ? undefined : t('keys.noServices')} rules={isOfPerson ? [] : [{ required: true, message: t('required') }]}>
          <Select allowClear={isOfPerson} showSearch placeholder={isOfPerson ? t('keys.mine') : t('keys.choose')} options={services.data?.items.map(({ name, username }) => ({ value: username, label: name })) ?? []} />
        </Form.Item>
      )}
      <Form.Item name="bundle" label={t('keys.scopes')} style={{ marginBottom: 8 }}>
        <Radio.Group style={{ display: 'grid', gap: 4 }}>
          {bundles.map((value) => (
            <Radio key={value} value={value}>
              <strong>{t(`keys.bundle.${value}`)}</strong> <Typography.Text type="secondary">{t(`keys.bundleHint.${value}`)}</Typography.Text>
            </Radio>
          ))}
        </Radio.Group>
      </Form.Item>
      <Form.Item noStyle shouldUpdate={(before: KeyFields, after: KeyFields) => before.bundle !== after.bundle}>
        {({ getFieldValue }) => getFieldValue('bundle') === 'some' && (
          <Form.Item name="scopes" label={t('keys.permissions')} rules={[{ required: true, message: t('required') }]}>
            <Select mode="multiple" options={held.map((value) => ({ value, label: `${value} · ${t(`permission.${value.replace(':', '_') as 'tasks_read'}`)}` }))} />
          </Form.Item>
        )}
      </Form.Item>
      <Space wrap align="start" size={[16, 0]}>
        <Form.Item name="life" label={t('keys.life')}><Select style={{ width: 190 }} options={lives.map((value) => ({ value, label: t(`keys.lives.${value === -1 ? 'until' : (String(value) as '0')}`) }))} /></Form.Item>
        <Form.Item noStyle shouldUpdate={(before: KeyFields, after: KeyFields) => before.life !== after.life}>
          {({ getFieldValue }) => getFieldValue('life') === -1 && <Form.Item name="until" label={t('keys.until')} rules={[{ required: true, message: t('required') }]}><Input type="datetime-local" /></Form.Item>}
        </Form.Item>
      </Space>
      <details className="disclosure" open={changed !== undefined}>
        <summary>{t('keys.limits')}</summary>
        <Form.Item name="rpm" label={t('keys.rpm')}><InputNumber min={1} max={10_000_000} precision={0} placeholder={t('unlimited')} style={{ width: 190 }} /></Form.Item>
        <Form.Item name="allowed_models" label={t('keys.models')}><Select mode="tags" placeholder={t('keys.everyModel')} options={models.data?.items.map(({ name }) => ({ value: name, label: name })) ?? []} /></Form.Item>
        <Form.Item name="networks" label={t('keys.networks')} extra={t('keys.networksHint')}><Select mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ']} placeholder={t('keys.everywhere')} /></Form.Item>
      </details>
    </FormModal>
  );
}
