import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Alert, App, Form, Input, InputNumber, Modal, Select, Space } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { patchModelsName, type ModelPatch, type ModelShown } from '../../api/gen';
import { problemOf } from '../../api/problem';
import { MONO } from '../../app/theme';
import { STRATEGIES } from './AddWizard';

type Fields = { rpm: number | null; tpm: number | null; strategy: string | null; starve_after_s: number | null; max_queue_length: number | null; max_retries: number; fallback_models: string[]; config: string };

export function EditModal({ model, onClose }: { model: ModelShown; onClose: () => void }) {
  const { t } = useTranslation('models');
  const { t: words } = useTranslation();
  const { message } = App.useApp();
  const queries = useQueryClient();
  const [form] = Form.useForm<Fields>();
  const [fault, setFault] = useState<string>();
  const save = useMutation({
    mutationFn: (patch: ModelPatch) => body(patchModelsName({ path: { name: model.name }, body: patch, throwOnError: true })),
    onSuccess: ({ name }) => {
      void message.success(t('told.saved', { name }));
      void queries.invalidateQueries();
      onClose();
    },
    onError: (error) => {
      const problem = problemOf(error);
      setFault(Object.entries(problem.byField).map(([path, msg]) => `${path}: ${msg}`)[0] ?? problem.message);
    },
  });
  const submit = ({ config, max_retries, strategy, ...rest }: Fields) => {
    try {
      const values: unknown = JSON.parse(config);
      if (typeof values !== 'object' || values === null || Array.isArray(values)) throw new Error();
      setFault(undefined);
      save.mutate({ ...rest, strategy: strategy ?? null, retry: { max_retries }, config: values as Record<string, unknown> });
    } catch {
      setFault(t('edit.badJson'));
    }
  };
  return (
    <Modal open width={640} title={t('edit.title', { name: model.name })} okText={words('action.save')} cancelText={words('action.cancel')} confirmLoading={save.isPending} onOk={form.submit} onCancel={onClose}>
      {fault && <Alert role="alert" type="error" showIcon style={{ marginBottom: 12 }} title={fault} />}
      <Form
        form={form}
        layout="vertical"
        onFinish={submit}
        initialValues={{ rpm: model.rpm, tpm: model.tpm, strategy: model.strategy ?? undefined, starve_after_s: model.starve_after_s, max_queue_length: model.max_queue_length, max_retries: model.retry.max_retries, fallback_models: model.fallback_models, config: JSON.stringify(model.config, null, 2) }}
      >
        <Space wrap>
          <Form.Item name="rpm" label={t('wizard.rpm')}><InputNumber min={1} /></Form.Item>
          <Form.Item name="tpm" label={t('wizard.tpm')}><InputNumber min={1} style={{ width: 140 }} /></Form.Item>
          <Form.Item name="max_retries" label={t('detail.retry')}><InputNumber min={0} max={100} /></Form.Item>
          <Form.Item name="max_queue_length" label={t('detail.queueLimit')}><InputNumber min={1} style={{ width: 140 }} /></Form.Item>
          <Form.Item name="starve_after_s" label={t('detail.starve')}><InputNumber min={0} suffix="s" /></Form.Item>
        </Space>
        <Form.Item name="strategy" label={t('wizard.strategy')}><Select allowClear placeholder={t('detail.default')} options={STRATEGIES.map((value) => ({ value, label: value }))} /></Form.Item>
        <Form.Item name="fallback_models" label={t('detail.fallback')}><Select mode="tags" /></Form.Item>
        <Form.Item name="config" label={t('edit.config')} extra={t('edit.configHint')}><Input.TextArea autoSize={{ minRows: 4, maxRows: 14 }} spellCheck={false} style={{ fontFamily: MONO, fontSize: 12.5 }} /></Form.Item>
      </Form>
    </Modal>
  );
}
