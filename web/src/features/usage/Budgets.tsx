import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Alert, App, Button, Card, Form, Input, InputNumber, Modal, Progress, Select, Space, Tag, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { body } from '../../api/client';
import { deleteBudgetsBudget, postBudgets, postBudgetsBudgetTopUp, type BudgetShown } from '../../api/gen';
import { useMay } from '../../api/me';
import { problemOf } from '../../api/problem';
import { useBudgets, useModels } from '../../api/stats';
import { EmptyState, Loaded } from '../../components/basics';
import { useFormat } from '../../components/format';

const MICRO = 1_000_000;
type Fields = { name: string; dollars: number; period: 'day' | 'month' | 'total'; model?: string };

function AddBudget({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation('usage');
  const { t: words } = useTranslation();
  const { message } = App.useApp();
  const queries = useQueryClient();
  const models = useModels();
  const [form] = Form.useForm<Fields>();
  const add = useMutation({
    mutationFn: ({ name, dollars, period, model }: Fields) => body(postBudgets({ body: { name, limit_microusd: Math.round(dollars * MICRO), period, ...(model ? { model } : {}) }, throwOnError: true })),
    onSuccess: ({ name }) => {
      void message.success(t('budgets.saved', { name }));
      void queries.invalidateQueries({ queryKey: ['budgets'] });
      onClose();
    },
  });
  return (
    <Modal open title={t('budgets.add')} okText={words('action.add')} cancelText={words('action.cancel')} confirmLoading={add.isPending} onOk={form.submit} onCancel={onClose}>
      {add.error && <Alert role="alert" type="error" showIcon style={{ marginBottom: 12 }} title={Object.values(problemOf(add.error).byField)[0] ?? problemOf(add.error).message} />}
      <Form form={form} layout="vertical" onFinish={(fields) => add.mutate(fields)} initialValues={{ period: 'month' }}>
        <Form.Item name="name" label={t('budgets.name')} rules={[{ required: true }]}><Input autoFocus /></Form.Item>
        <Space wrap>
          <Form.Item name="dollars" label={t('budgets.limit')} rules={[{ required: true }]}><InputNumber min={0} step={1} /></Form.Item>
          <Form.Item name="period" label={t('budgets.period.label')}><Select style={{ width: 130 }} options={(['day', 'month', 'total'] as const).map((value) => ({ value, label: t(`budgets.period.${value}`) }))} /></Form.Item>
          <Form.Item name="model" label={t('budgets.model')}><Select allowClear style={{ width: 180 }} placeholder={t('budgets.every')} options={models.data?.items.map(({ name }) => ({ value: name, label: name })) ?? []} /></Form.Item>
        </Space>
      </Form>
    </Modal>
  );
}

function TopUp({ budget, onClose }: { budget: BudgetShown; onClose: () => void }) {
  const { t } = useTranslation('usage');
  const { t: words } = useTranslation();
  const { message } = App.useApp();
  const queries = useQueryClient();
  const [dollars, setDollars] = useState<number | null>(5);
  const topUp = useMutation({
    mutationFn: () => body(postBudgetsBudgetTopUp({ path: { budget: budget.name }, body: { microusd: Math.round((dollars ?? 0) * MICRO) }, throwOnError: true })),
    onSuccess: ({ name }) => {
      void message.success(t('budgets.saved', { name }));
      void queries.invalidateQueries();
      onClose();
    },
    onError: (error) => void message.error(problemOf(error).message),
  });
  return (
    <Modal open width={360} title={t('budgets.topUpTitle', { name: budget.name })} okText={t('budgets.topUp')} cancelText={words('action.cancel')} confirmLoading={topUp.isPending} okButtonProps={{ disabled: !dollars }} onOk={() => topUp.mutate()} onCancel={onClose}>
      <InputNumber autoFocus aria-label={t('budgets.amount')} min={0.01} prefix="$" value={dollars} onChange={setDollars} style={{ width: '100%' }} />
    </Modal>
  );
}

export function Budgets() {
  const { t } = useTranslation('usage');
  const { t: words } = useTranslation();
  const { message, modal } = App.useApp();
  const format = useFormat();
  const may = useMay();
  const queries = useQueryClient();
  const query = useBudgets();
  const [open, setOpen] = useState<'add' | BudgetShown | null>(null);
  const remove = useMutation({
    mutationFn: (name: string) => deleteBudgetsBudget({ path: { budget: name }, throwOnError: true }),
    onSuccess: () => void queries.invalidateQueries(),
    onError: (error) => void message.error(problemOf(error).message),
  });
  const canManage = may('budgets:manage');
  const add = canManage && <Button onClick={() => setOpen('add')}>{t('budgets.add')}</Button>;
  return (
    <Card size="small" title={t('budgets.title')} extra={add}>
      <Loaded query={query}>
        {({ items }) => items.length === 0 ? <EmptyState title={t('budgets.none')} hint={t('budgets.noneHint')} /> : (
          <ul style={{ listStyle: 'none', margin: 0, padding: 0, display: 'grid', gap: 16 }}>
            {items.map((budget) => {
              const share = budget.limit_microusd ? (100 * (budget.spent_microusd + budget.reserved_microusd)) / budget.limit_microusd : 100;
              const isImposed = (budget as { imposed?: boolean }).imposed === true;
              return (
                <li key={budget.id}>
                  <div style={{ display: 'flex', flexWrap: 'wrap', justifyContent: 'space-between', gap: 8 }}>
                    <Space wrap size={4}>
                      <strong>{budget.name}</strong>
                      <Tag>{budget.model ?? t('budgets.every')}</Tag>
                      {budget.key_id !== null && <Tag>{t('budgets.key', { id: budget.key_id })}</Tag>}
                      {isImposed && <Tag color="gold">{t('budgets.imposed')}</Tag>}
                    </Space>
                    {canManage && (!isImposed || may('tenants:manage')) && (
                      <Space size={4}>
                        <Button size="small" onClick={() => setOpen(budget)}>{t('budgets.topUp')}</Button>
                        <Button size="small" type="text" danger onClick={() => void modal.confirm({ title: t('budgets.confirmRemove', { name: budget.name }), okText: t('budgets.remove'), cancelText: words('action.close'), okButtonProps: { danger: true }, onOk: () => remove.mutateAsync(budget.name).catch(() => undefined) })}>{t('budgets.remove')}</Button>
                      </Space>
                    )}
                  </div>
                  <Progress percent={Math.min(100, share)} showInfo={false} size="small" status={share >= 100 ? 'exception' : 'normal'} aria-label={budget.name} />
                  <Typography.Text type="secondary">
                    {t('budgets.spent', { spent: format.money(budget.spent_microusd), limit: format.money(budget.limit_microusd), period: t(`budgets.period.${budget.period}`) })}
                    {budget.reserved_microusd > 0 && ` · ${t('budgets.reserved', { n: format.money(budget.reserved_microusd) })}`}
                    {budget.period_end && ` · ${t('budgets.ends', { time: format.time(budget.period_end) })}`}
                  </Typography.Text>
                </li>
              );
            })}
          </ul>
        )}
      </Loaded>
      {open === 'add' && <AddBudget onClose={() => setOpen(null)} />}
      {open !== null && open !== 'add' && <TopUp budget={open} onClose={() => setOpen(null)} />}
    </Card>
  );
}
