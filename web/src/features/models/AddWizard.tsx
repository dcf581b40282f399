import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Alert, App, AutoComplete, Button, Checkbox, Form, Input, InputNumber, Modal, Radio, Select, Space, Steps, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { postModels, type ModelBody, type ModelShown } from '../../api/gen';
import { problemOf } from '../../api/problem';
import { TestModal } from './actions';
import { NAME, PRESETS, type Preset } from './presets';

type Fields = { name: string; model?: string; base_url?: string; api_key?: string; model_path?: string; timeout_s?: number; max_workers?: number; auto?: boolean; rpm?: number; tpm?: number; strategy?: string };

const STEP_FIELDS: (keyof Fields)[][] = [[], ['name', 'model', 'base_url', 'api_key', 'model_path', 'timeout_s'], ['max_workers', 'rpm', 'tpm', 'strategy']];
export const STRATEGIES = ['fair', 'priority', 'fifo', 'wfq', 'tenant_first', 'deadline', 'shortest', 'backlog'];

/** The body that the wizard sends: what was left empty is left out. */
export function bodyOf(preset: Preset, fields: Fields): ModelBody {
  const config = Object.fromEntries(Object.entries({ base_url: fields.base_url, api_key: fields.api_key, model: fields.model, model_path: fields.model_path, timeout_s: fields.timeout_s }).filter(([, value]) => value !== undefined && value !== ''));
  const limits = Object.fromEntries(Object.entries({ rpm: fields.rpm, tpm: fields.tpm, strategy: fields.strategy }).filter(([, value]) => value !== undefined && value !== null && value !== ''));
  return { name: fields.name, type: preset.type, config, max_workers: fields.auto ? 'auto' : (fields.max_workers ?? 4), ...limits };
}

export function AddWizard({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('models');
  const { t: words } = useTranslation();
  const { message } = App.useApp();
  const queries = useQueryClient();
  const [form] = Form.useForm<Fields>();
  const [step, setStep] = useState(0);
  const [preset, setPreset] = useState<Preset>(PRESETS[0] as Preset);
  const [tested, setTested] = useState<string>();
  const isAuto = Form.useWatch('auto', form);
  const add = useMutation<ModelShown, Error, { isTested: boolean }>({
    mutationFn: () => body(postModels({ body: bodyOf(preset, form.getFieldsValue(true) as Fields), throwOnError: true })),
    onSuccess: ({ name }, { isTested }) => {
      void message.success(t('told.added', { name }));
      void queries.invalidateQueries();
      if (isTested) setTested(name);
      else onClose();
    },
    onError: (error) => {
      const problem = problemOf(error);
      const entries = Object.entries(problem.byField);
      form.setFields(entries.map(([path, msg]) => ({ name: path.replace(/^config\./, '') as keyof Fields, errors: [msg] })));
      const at = STEP_FIELDS.findIndex((names) => entries.some(([path]) => names.includes(path.replace(/^config\./, '') as keyof Fields)));
      if (at > 0) setStep(at);
    },
  });
  const choose = (key: Preset['key']) => {
    const found = PRESETS.find((one) => one.key === key) ?? preset;
    setPreset(found);
    form.setFieldsValue({ base_url: found.baseUrl, api_key: undefined, name: found.models[0], model: undefined });
  };
  const next = async () => {
    if (step === 0 && !form.getFieldValue('name')) choose(preset.key);
    await form.validateFields(STEP_FIELDS[step] ?? []);
    setStep(step + 1);
  };
  const required = [{ required: true, message: t('wizard.required') }];
  if (tested) return <TestModal name={tested} onClose={onClose} />;
  return (
    <Modal
      open
      width={640}
      title={t('wizard.title')}
      onCancel={onClose}
      footer={
        <Space>
          {step > 0 && <Button onClick={() => setStep(step - 1)}>{words('action.back')}</Button>}
          {step < 3 && <Button type="primary" onClick={() => void next().catch(() => undefined)}>{words('action.next')}</Button>}
          {step === 3 && <Button loading={add.isPending} onClick={() => add.mutate({ isTested: false })}>{t('wizard.addOnly')}</Button>}
          {step === 3 && <Button type="primary" loading={add.isPending} onClick={() => add.mutate({ isTested: true })}>{t('wizard.addAndTest')}</Button>}
        </Space>
      }
    >
      <Steps size="small" current={step} style={{ marginBlock: 12 }} items={(['provider', 'connection', 'limits', 'check'] as const).map((key) => ({ title: t(`wizard.${key}`) }))} />
      {add.error && <Alert role="alert" type="error" showIcon style={{ marginBottom: 12 }} title={problemOf(add.error).message} />}
      <Form form={form} layout="vertical" preserve initialValues={{ max_workers: 4 }}>
        <div hidden={step !== 0}>
          <Radio.Group aria-label={t('wizard.provider')} value={preset.key} onChange={(event) => choose(event.target.value as Preset['key'])} style={{ display: 'grid', gap: 8, gridTemplateColumns: 'repeat(auto-fill, minmax(220px, 1fr))' }}>
            {PRESETS.map(({ key }) => <Radio key={key} value={key}>{t(`preset.${key}`)}</Radio>)}
          </Radio.Group>
        </div>
        <div hidden={step !== 1}>
          <Form.Item name="name" label={t('wizard.name')} extra={t('wizard.nameHint')} rules={[...required, { pattern: NAME, message: t('wizard.badName') }]}>
            <AutoComplete options={preset.models.map((value) => ({ value }))} />
          </Form.Item>
          {preset.baseUrl && <Form.Item name="base_url" label={t('wizard.baseUrl')} rules={[...required, { type: 'url' }]}><Input spellCheck={false} /></Form.Item>}
          {preset.baseUrl && <Form.Item name="api_key" label={t('wizard.apiKey')} extra={t('wizard.apiKeyHint')} rules={preset.needsKey ? required : []}><Input.Password autoComplete="off" /></Form.Item>}
          {preset.baseUrl && <Form.Item name="model" label={t('wizard.model')} extra={t('wizard.modelHint')}><Input spellCheck={false} /></Form.Item>}
          {preset.type === 'local' && <Form.Item name="model_path" label={t('wizard.path')} extra={t('wizard.pathHint')}><Input spellCheck={false} /></Form.Item>}
          <Form.Item name="timeout_s" label={t('wizard.timeout')}><InputNumber min={1} max={3600} placeholder="120" /></Form.Item>
        </div>
        <div hidden={step !== 2}>
          <Space align="end" wrap>
            <Form.Item name="max_workers" label={t('wizard.workers')}><InputNumber min={1} max={100_000} disabled={isAuto} /></Form.Item>
            <Form.Item name="auto" valuePropName="checked"><Checkbox>{t('scale.auto')}</Checkbox></Form.Item>
          </Space>
          <Space wrap>
            <Form.Item name="rpm" label={t('wizard.rpm')}><InputNumber min={1} /></Form.Item>
            <Form.Item name="tpm" label={t('wizard.tpm')}><InputNumber min={1} style={{ width: 140 }} /></Form.Item>
          </Space>
          <Typography.Paragraph type="secondary">{t('wizard.limitHint')}</Typography.Paragraph>
          <Form.Item name="strategy" label={t('wizard.strategy')}><Select allowClear placeholder={t('detail.default')} options={STRATEGIES.map((value) => ({ value, label: value }))} style={{ maxWidth: 240 }} /></Form.Item>
        </div>
        {step === 3 && <Typography.Paragraph>{t('wizard.checkHint')} <strong>{form.getFieldValue('name')}</strong> · {t(`preset.${preset.key}`)}</Typography.Paragraph>}
      </Form>
    </Modal>
  );
}
