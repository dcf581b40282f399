import { EditOutlined } from '@ant-design/icons';
import { useInfiniteQuery, useMutation, useQueryClient } from '@tanstack/react-query';
import { App, Button, Card, Space, Tag, Tooltip, Typography } from 'antd';
import { useMemo, useState, type Key } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router';
import { body } from '../api/client';
import { getDeadLetters, postDeadLettersDiscard, postDeadLettersRequeue } from '../api/gen';
import { useMay } from '../api/me';
import { problemOf } from '../api/problem';
import type { TaskShown } from '../api/tasks';
import { useLive } from '../app/refresh';
import { EmptyState, Loaded, Moment, PageHeader } from '../components/basics';
import { DataTable } from '../components/DataTable';
import { useFormat } from '../components/format';
import { causeOf, causesOf, type Cause } from '../features/dead/causes';
import { EditModal } from '../features/dead/EditModal';

const PAGE = 500;
const MOST_IDS = 500;

export function Component() {
  const { t } = useTranslation('deadLetters');
  const { t: taskWords } = useTranslation('task');
  const { t: words } = useTranslation();
  const { message, modal } = App.useApp();
  const format = useFormat();
  const may = useMay();
  const queries = useQueryClient();
  const live = useLive(5);
  const [cause, setCause] = useState<string>();
  const [selected, setSelected] = useState<Key[]>([]);
  const [edited, setEdited] = useState<number>();
  const query = useInfiniteQuery({
    queryKey: ['dead-letters'],
    queryFn: ({ pageParam, signal }) => body(getDeadLetters({ query: { limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) }, signal, throwOnError: true })),
    initialPageParam: '',
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    ...live,
    refetchInterval: ({ state }) => ((state.data?.pages.length ?? 1) > 1 ? false : live.refetchInterval),
  });
  const tasks = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
  const causes = useMemo(() => causesOf(tasks), [tasks]);
  const shown = cause ? tasks.filter((task) => causeOf(task) === cause) : tasks;
  const done = useMutation({
    mutationFn: async ({ ids, isDiscard }: { ids: number[] | null; isDiscard: boolean }) => {
      const send = isDiscard ? postDeadLettersDiscard : postDeadLettersRequeue;
      if (!ids) return body(send({ body: { filter: {} }, throwOnError: true }));
      let changed = 0;
      for (let first = 0; first < ids.length; first += MOST_IDS) {
        const found = await body(send({ body: { ids: ids.slice(first, first + MOST_IDS) }, throwOnError: true }));
        changed += 'changed' in found ? found.changed : 0;
      }
      return { changed };
    },
    onSuccess: (found, { ids, isDiscard }) => {
      setSelected([]);
      void message.success(ids ? t(isDiscard ? 'discarded' : 'requeued', { count: found.changed }) : t('begun'));
      void queries.invalidateQueries();
    },
    onError: (error) => void message.error(problemOf(error).message),
  });
  const ask = (ids: number[] | null, isDiscard: boolean) =>
    void modal.confirm({
      title: t(isDiscard ? (ids ? 'discard' : 'discardAll') : ids ? 'requeue' : 'requeueAll'),
      content: t(isDiscard ? (ids ? 'confirmDiscard' : 'confirmDiscardAll') : ids ? 'confirmRequeue' : 'confirmRequeueAll', { count: ids?.length ?? 0 }),
      okText: t(isDiscard ? 'discard' : 'requeue'),
      cancelText: words('action.close'),
      okButtonProps: { danger: isDiscard },
      onOk: () => done.mutateAsync({ ids, isDiscard }).catch(() => undefined),
    });
  const canManage = may('tasks:manage');
  const buttons = (ids: number[]) => (
    <Space size={4}>
      <Button size="small" onClick={() => ask(ids, false)}>{t('requeue')}</Button>
      <Button size="small" danger type="text" onClick={() => ask(ids, true)}>{t('discard')}</Button>
    </Space>
  );
  const extra = canManage && tasks.length > 0 && (
    <>
      <Button onClick={() => ask(null, false)}>{t('requeueAll')}</Button>
      <Button danger onClick={() => ask(null, true)}>{t('discardAll')}</Button>
    </>
  );
  const empty = <EmptyState title={t('none')} hint={t('noneHint')} />;
  return (
    <>
      <PageHeader title={t('title')} sub={t('sub')} extra={extra} />
      <Loaded query={query}>
        {() => tasks.length === 0 ? <Card>{empty}</Card> : (
          <div style={{ display: 'grid', gap: 12, gridTemplateColumns: 'minmax(0, 1fr)' }}>
            <Card size="small" title={t('byCause')} extra={<Typography.Text type="secondary">{t('of', { count: tasks.length })}</Typography.Text>} styles={{ body: { padding: 0 } }}>
              <DataTable<Cause>
                size="small"
                rowKey="key"
                pagination={false}
                dataSource={causes}
                scroll={{ x: 640 }}
                rowClassName={({ key }) => (key === cause ? 'ant-table-row-selected' : '')}
                columns={[
                  { title: t('count'), width: 80, align: 'right', className: 'num', render: (_, { ids }) => format.number(ids.length) },
                  {
                    title: t('cause'),
                    render: (_, { key, code, httpStatus, model, message: text }) => (
                      <div>
                        <Button type="link" size="small" style={{ padding: 0 }} aria-pressed={key === cause} onClick={() => setCause(key === cause ? undefined : key)}>{code}</Button>{' '}
                        {httpStatus && <Tag>{httpStatus}</Tag>} <Typography.Text type="secondary">{model}</Typography.Text>
                        <Typography.Paragraph type="secondary" ellipsis={{ rows: 1, tooltip: text }} style={{ margin: 0, fontSize: 12 }}>{text}</Typography.Paragraph>
                      </div>
                    ),
                  },
                  { title: t('last'), width: 120, render: (_, { lastAt }) => <Moment at={lastAt} isRelative /> },
                  ...(canManage ? [{ width: 210, render: (_: unknown, { ids }: Cause) => buttons(ids) }] : []),
                ]}
              />
            </Card>
            {selected.length > 0 && canManage && <Space><strong>{selected.length}</strong>{buttons(selected.map(Number))}</Space>}
            <Card size="small" styles={{ body: { padding: 0 } }}>
              <div className="scroll-x">
                <DataTable<TaskShown>
                  size="small"
                  rowKey="id"
                  dataSource={shown}
                  pagination={{ pageSize: 50, showSizeChanger: false, size: 'small', hideOnSinglePage: true }}
                  style={{ minWidth: 760 }}
                  tableLayout="fixed"
                  rowSelection={canManage ? { selectedRowKeys: selected, onChange: setSelected, columnWidth: 44 } : undefined}
                  columns={[
                    { title: t('task'), width: 90, render: (_, { id }) => <Link className="num" to={`/tasks/${id}`}>{id}</Link> },
                    { title: t('model'), width: 150, ellipsis: true, dataIndex: 'model' },
                    { title: t('reason'), width: 200, render: (_, { dead_reason }) => dead_reason && taskWords(`dead.${dead_reason}`) },
                    { title: t('error'), ellipsis: true, render: (_, { error }) => <Typography.Text ellipsis={{ tooltip: error?.message }}>{error?.code}: {error?.message}</Typography.Text> },
                    { title: t('ended'), width: 150, render: (_, { completed_at }) => <Moment at={completed_at} /> },
                    ...(canManage && may('payloads:read') ? [{ width: 56, render: (_: unknown, { id }: TaskShown) => <Tooltip title={t('edit')}><Button size="small" type="text" icon={<EditOutlined />} aria-label={`${t('edit')} ${id}`} onClick={() => setEdited(id)} /></Tooltip> }] : []),
                  ]}
                />
              </div>
            </Card>
            {query.hasNextPage && <Button loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>{t('older')}</Button>}
          </div>
        )}
      </Loaded>
      {edited !== undefined && <EditModal id={edited} onClose={() => setEdited(undefined)} />}
    </>
  );
}
